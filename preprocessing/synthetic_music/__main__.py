"""Write the embedded corpus of music into `data.root`, in FMA's layout.

python -m preprocessing.synthetic_music [--tracks N] [--seed S] [--workers W] [--conf FILE]
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import TrackRun
from tasks.corpora import CorpusOptions, corpus_parser

SCRIPT = "preprocessing.synthetic_music"
DESCRIPTION = "Write the embedded corpus of synthetic music, in FMA's layout."
_SIZES = (180, 48, 120)  # training, validation, test


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the tracks of the three splits, or what is missing of them."""
    run, args = load_run(argv, corpus_parser(SCRIPT, DESCRIPTION, "tracks", _SIZES), TrackRun)
    commands = Commands.of(args, run.script_of)
    # here and not above: scipy.signal takes longer to load than --help may take
    from preprocessing.synthetic_music.writing import SPLITS, write_corpus

    options = CorpusOptions.of(args, "tracks", _SIZES)
    sizes = dict(zip(SPLITS, options.sizes, strict=True))
    if write_corpus(run.data.root, sizes, options.seed, options.workers):
        print(f"{run.data.root}: wrote {sum(options.sizes)} tracks")
    print(f"next: {commands.following(run, SCRIPT)}")


if __name__ == "__main__":
    main()
