"""Write the embedded corpus of pictures into `data.root`, in Flickr8k's layout.

python -m preprocessing.synthetic_pictures [--pictures N] [--seed S] [--workers W] [--conf FILE]
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import ImageRun
from tasks.corpora import CorpusOptions, corpus_parser
from utils.dataset_utils.corpus_writing import DEFAULT_SIZES

SCRIPT = "preprocessing.synthetic_pictures"
DESCRIPTION = "Write the embedded corpus of captioned drawings, in Flickr8k's layout."


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the captioned pictures of the three splits, or what is missing of them."""
    run, args = load_run(argv, corpus_parser(SCRIPT, DESCRIPTION, "pictures", DEFAULT_SIZES), ImageRun)
    commands = Commands.of(args, run.script_of)
    # here and not above: Pillow and the drawing are not needed for --help
    from preprocessing.synthetic_pictures.writing import SPLITS, write_corpus

    options = CorpusOptions.of(args, "pictures", DEFAULT_SIZES)
    sizes = dict(zip(SPLITS, options.sizes, strict=True))
    if write_corpus(run.data.root, sizes, options.seed, options.workers):
        print(f"{run.data.root}: wrote {sum(options.sizes)} pictures with five captions each")
    print(f"next: {commands.following(run, SCRIPT)}")


if __name__ == "__main__":
    main()
