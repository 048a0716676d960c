"""Write the embedded corpus of music into `data.root`, in FMA's layout.

python -m preprocessing.synthetic_music [--tracks N] [--seed S] [--workers W] [--conf FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import TrackRun
from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import share_out
from utils.process_utils import all_cores


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the tracks of the three splits, or what is missing of them."""
    run, args = load_run(argv, _parser(), TrackRun)
    commands = Commands.of(args, run.script_of)
    # here and not above: scipy.signal takes longer to load than --help may take
    from preprocessing.synthetic_music.writing import DEFAULT_SIZES, SPLITS, write_corpus

    for name, least in (("tracks", 3), ("seed", 0), ("workers", 1)):
        value = vars(args)[name]
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: expected {least} or more")
    counts = DEFAULT_SIZES if args.tracks is None else share_out(args.tracks, "tracks", DEFAULT_SIZES)
    sizes = dict(zip(SPLITS, counts, strict=True))
    if write_corpus(run.data.root, sizes, args.seed, args.workers):
        print(f"{run.data.root}: wrote {sum(counts)} tracks")
    print(f"next: {commands.line(run.next_script('preprocessing.synthetic_music'))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m preprocessing.synthetic_music",
        description="Write the embedded corpus of synthetic music, in FMA's layout.",
    )
    parser.add_argument(
        "--tracks", type=int, metavar="N", help="tracks in all, shared out 180:48:120 (default: those 348)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another corpus (default: 0)")
    parser.add_argument("--workers", type=int, default=all_cores(), help="processes (default: all cores)")
    return parser


if __name__ == "__main__":
    main()
