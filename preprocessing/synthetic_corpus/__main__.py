"""Write the embedded corpus into `data.root`, in Clotho's layout.

python -m preprocessing.synthetic_corpus [--clips N] [--seed S] [--workers W] [--conf FILE]
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import CaptionRun
from tasks.corpora import CorpusOptions, corpus_parser
from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import DEFAULT_SIZES

SCRIPT = "preprocessing.synthetic_corpus"
DESCRIPTION = "Write the embedded corpus of captioned synthetic clips, in Clotho's layout."


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the captioned clips of the three splits, or what is missing of them."""
    run, args = load_run(argv, corpus_parser(SCRIPT, DESCRIPTION, "clips", DEFAULT_SIZES), CaptionRun)
    commands = Commands.of(args, run.script_of)
    # here and not above: scipy.signal takes longer to load than --help may take
    from preprocessing.synthetic_corpus.writing import write_corpus

    options = CorpusOptions.of(args, "clips", DEFAULT_SIZES)
    folders = run.data.splits.names()
    if len(folders) < len(options.sizes):
        raise UserError(
            f"data.splits: found the folders {', '.join(folders)}, expected one for each of the three roles"
        )
    sizes = dict(zip(folders, options.sizes, strict=True))
    if write_corpus(run.data.root, sizes, options.seed, options.workers):
        print(f"{run.data.root}: wrote {sum(options.sizes)} clips with five captions each")
    print(f"next: {commands.following(run, SCRIPT)}")


if __name__ == "__main__":
    main()
