"""Train the run of a YAML under Ray Tune.

python main.py                            # conf.yaml
python main.py --conf tasks/NAME.yaml     # another system
python main.py --check                    # check everything a run needs, start nothing
python main.py --resume                   # go on with an interrupted experiment
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import Commands, RunSpec, check_run, command, experiment_of, fit_of, load_run, refuse_searched
from utils.tune_utils import check_disk, launch, print_best


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Check the run, train its trials, print the best one and the next command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check everything a run needs and start nothing")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted experiment")
    parser.add_argument("--fresh", action="store_true", help="move an earlier experiment aside and start again")
    run, args = load_run(argv, parser, RunSpec)
    if not args.resume:
        refuse_searched(run, args.set)
    commands = Commands.of(args, run.script_of)
    experiment = experiment_of(run, check_run(run, thorough=args.check))  # the task goes: trials build their own
    check_disk(experiment, fresh=args.fresh)
    if args.check:
        return 0
    if not launch(experiment, fit_of, resume=args.resume, fresh=args.fresh):
        print(f"interrupted; go on with: {commands.make('training', ['--resume'])}")
        return 130
    print_best(run.folder)
    print(f"next: {commands.following(run, 'main.py')}")
    return 0


if __name__ == "__main__":
    main()
