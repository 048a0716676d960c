"""Write the embedded corpus into `data.root`, in Clotho's layout.

python -m preprocessing.synthetic_corpus [--clips N] [--seed S] [--workers W] [--conf FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import CaptionRun
from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import DEFAULT_SIZES, share_out
from utils.process_utils import all_cores


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the captioned clips of the three splits, or what is missing of them."""
    run, args = load_run(argv, _parser(), CaptionRun)
    commands = Commands.of(args, run.script_of)
    # here and not above: scipy.signal takes longer to load than --help may take
    from preprocessing.synthetic_corpus.writing import write_corpus

    for name, least in (("clips", 3), ("seed", 0), ("workers", 1)):
        value = vars(args)[name]
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: expected {least} or more")
    counts = DEFAULT_SIZES if args.clips is None else share_out(args.clips, "clips")
    folders = run.data.splits.names()
    if len(folders) < len(counts):
        raise UserError(
            f"data.splits: found the folders {', '.join(folders)}, expected one for each of the three roles"
        )
    sizes = dict(zip(folders, counts, strict=True))
    if write_corpus(run.data.root, sizes, args.seed, args.workers):
        print(f"{run.data.root}: wrote {sum(counts)} clips with five captions each")
    print(f"next: {commands.following(run, 'preprocessing.synthetic_corpus')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m preprocessing.synthetic_corpus",
        description="Write the embedded corpus of captioned synthetic clips, in Clotho's layout.",
    )
    parser.add_argument(
        "--clips", type=int, metavar="N", help="clips in all, shared out 1200:150:200 (default: those 1550)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another corpus (default: 0)")
    parser.add_argument("--workers", type=int, default=all_cores(), help="processes (default: all cores)")
    return parser


if __name__ == "__main__":
    main()
