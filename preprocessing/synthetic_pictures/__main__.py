"""Write the embedded corpus of pictures into `data.root`, in Flickr8k's layout.

python -m preprocessing.synthetic_pictures [--pictures N] [--seed S] [--workers W] [--conf FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import ImageRun
from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import DEFAULT_SIZES, share_out
from utils.process_utils import all_cores


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the captioned pictures of the three splits, or what is missing of them."""
    run, args = load_run(argv, _parser(), ImageRun)
    commands = Commands.of(args, run.script_of)
    # here and not above: Pillow and the drawing are not needed for --help
    from preprocessing.synthetic_pictures.writing import SPLITS, write_corpus

    for name, least in (("pictures", 3), ("seed", 0), ("workers", 1)):
        value = vars(args)[name]
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: expected {least} or more")
    counts = DEFAULT_SIZES if args.pictures is None else share_out(args.pictures, "pictures")
    sizes = dict(zip(SPLITS, counts, strict=True))
    if write_corpus(run.data.root, sizes, args.seed, args.workers):
        print(f"{run.data.root}: wrote {sum(counts)} pictures with five captions each")
    print(f"next: {commands.line(run.next_script('preprocessing.synthetic_pictures'))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m preprocessing.synthetic_pictures",
        description="Write the embedded corpus of captioned drawings, in Flickr8k's layout.",
    )
    parser.add_argument(
        "--pictures", type=int, metavar="N", help="pictures in all, shared out 1200:150:200 (default: those 1550)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another corpus (default: 0)")
    parser.add_argument("--workers", type=int, default=all_cores(), help="processes (default: all cores)")
    return parser


if __name__ == "__main__":
    main()
