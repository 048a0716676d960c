"""The command line that the scripts of the embedded corpora share: how many files, from which seed, by how many."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import share_out
from utils.process_utils import all_cores

Sizes = tuple[int, int, int]  # of training, validation and evaluation


def corpus_parser(script: str, description: str, noun: str, sizes: Sizes) -> argparse.ArgumentParser:
    """Make the parser of a script that writes a corpus.

    Args:
        script: its module.
        description: one sentence.
        noun: what the corpus consists of, in the plural; also the option that says how many.
        sizes: by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {script}", description=description)
    ratio = ":".join(map(str, sizes))
    help_ = f"{noun} in all, shared out {ratio} (default: those {sum(sizes)})"
    parser.add_argument(f"--{noun}", type=int, metavar="N", help=help_)
    parser.add_argument("--seed", type=int, default=0, help="another seed is another corpus (default: 0)")
    parser.add_argument("--workers", type=int, default=all_cores(), help="processes (default: all cores)")
    return parser


class CorpusOptions(NamedTuple):
    """What a command line says of a corpus."""

    sizes: Sizes
    seed: int
    workers: int

    @classmethod
    def of(cls, args: argparse.Namespace, noun: str, sizes: Sizes) -> CorpusOptions:
        """Of the parsed arguments of `corpus_parser`.

        Raises:
            UserError: a number is too small.
        """
        for name, least in ((noun, len(sizes)), ("seed", 0), ("workers", 1)):
            value = vars(args)[name]
            if value is not None and value < least:
                raise UserError(f"--{name} {value}: expected {least} or more")
        total = vars(args)[noun]
        return cls(sizes if total is None else share_out(total, noun, sizes), args.seed, args.workers)
