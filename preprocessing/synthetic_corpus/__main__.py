"""Write the embedded corpus into `data.root`: in Clotho's layout, or single kinds of sound in folders named by them.

python -m preprocessing.synthetic_corpus [--clips N] [--seed S] [--workers W] [--conf FILE]
python -m preprocessing.synthetic_corpus --single-kind --conf tasks/classification.yaml
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks import Commands, command, load_run
from tasks.base import AudioRun, CaptionRun, LabelledRun
from tasks.corpora import CorpusOptions, corpus_parser
from tasks.runs import require_kind
from utils.cli_utils import ConfigError, UserError
from utils.dataset_utils.corpus_writing import DEFAULT_SIZES, share_evenly

SCRIPT = "preprocessing.synthetic_corpus"
DESCRIPTION = "Write the embedded corpus of synthetic clips: with captions, in Clotho's layout, or of one kind each."
CLIPS_OF_KIND = 24


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the clips of the three splits, or of every kind, or what is missing of them."""
    parser = corpus_parser(SCRIPT, DESCRIPTION, "clips", DEFAULT_SIZES)
    single = f"one sound a clip, in folders named by its kind; --clips in equal shares (default: {CLIPS_OF_KIND} each)"
    parser.add_argument("--single-kind", action="store_true", help=single)
    run, args = load_run(argv, parser, AudioRun)
    commands = Commands.of(args, run.script_of)
    options = CorpusOptions.of(args, "clips", DEFAULT_SIZES)
    if isinstance(run, LabelledRun) and not args.single_kind:
        raise ConfigError(f"{args.conf}: task {run.task} is learnt from categories, not captions; add --single-kind")
    if args.single_kind:
        require_kind(run, LabelledRun, f"--single-kind: {args.conf}")
        _write_single_kinds(run, args.clips, options)
    else:
        _write_captioned(require_kind(run, CaptionRun, str(args.conf)), options)
    print(f"next: {commands.following(run, SCRIPT)}")


def _write_captioned(run: CaptionRun, options: CorpusOptions) -> None:
    # here and not above: scipy.signal takes longer to load than --help may take
    from preprocessing.synthetic_corpus.writing import write_corpus

    folders = run.data.splits.names()
    if len(folders) < len(options.sizes):
        raise UserError(
            f"data.splits: found the folders {', '.join(folders)}, expected one for each of the three roles"
        )
    sizes = dict(zip(folders, options.sizes, strict=True))
    if write_corpus(run.data.root, sizes, options.seed, options.workers):
        print(f"{run.data.root}: wrote {sum(options.sizes)} clips with five captions each")


def _write_single_kinds(run: AudioRun, clips: int | None, options: CorpusOptions) -> None:
    from preprocessing.synthetic_corpus.kinds import KINDS
    from preprocessing.synthetic_corpus.single_kinds import write_single_kinds

    sizes = share_evenly(CLIPS_OF_KIND * len(KINDS) if clips is None else clips, "clips", list(KINDS))
    if write_single_kinds(run.data.root, sizes, options.seed, options.workers):
        count = sum(sizes.values())
        print(f"{run.data.root}: wrote {count} clips in {len(sizes)} folders, each named by its kind of sound")


if __name__ == "__main__":
    main()
