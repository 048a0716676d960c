"""All experiments on music -> one table: what each autoencoder is, costs, reconstructs and recommends.

    python -m postprocessing.music_experiments --conf tasks/music_autoencoder.yaml

Reads what postprocessing.music_recommend has measured of each experiment in output_root, and computes nothing again;
writes recommendation_experiments.md and .csv there. What is not measured is named with the command that measures it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import command, load_run
from tasks.commands import Commands
from tasks.music.experiment_table import experiment_rows, print_experiments
from tasks.music.run import MusicRun
from tasks.music.trial_table import write_trial_table
from utils.cli_utils import UserError, printable

SCRIPT = "postprocessing.music_experiments"
STEM = "recommendation_experiments"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Gather, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    conf, args = load_run(argv, parser, MusicRun)
    commands = Commands.of(args, conf.script_of)
    found, notes = experiment_rows(conf.output_root, commands)
    for note in notes:
        print(printable(note))
    if not found:
        measure = commands.make("scores")
        raise UserError(f"{conf.output_root}: no experiment on music in it is measured; measure one: {measure}")
    print_experiments(found)
    rows = [row for experiment in found for row in (*experiment.trials, *experiment.baselines)]
    for path in write_trial_table(conf.output_root / STEM, rows):
        print(f"wrote {path}")
    first = found[0].folder
    again = commands.make("scores", ["--run", str(first), "--filter", "artist"])
    print(f"next: lists of {printable(first.name)} without the query's artist: {again}")


if __name__ == "__main__":
    main()
