"""A search over adapters under Ray, and the table that compares its trials."""

import csv
import json
import re

import pytest

from main import main
from postprocessing import caption_metrics
from tests.end_to_end.test_captioning import run
from tests.tasks.captioning.conftest import _corpora, pictures  # noqa: F401 - fixtures
from utils.artefact_utils import read_captions
from utils.metric_utils.captions.bleu import bleu
from utils.metric_utils.captions.cider import cider_d
from utils.metric_utils.captions.rouge import rouge_l
from utils.model_utils import find_trial, read_checkpoint, read_history

# Of T frames: as many tokens as there are segments, or a token for every five frames.
TOKENS = {"MeanPoolingAdapter": lambda frames: min(4, frames), "ConcatenationAdapter": lambda frames: -(-frames // 5)}
SEARCH = f"search={{model.adapter.name: {{grid: [{', '.join(TOKENS)}]}}}}"


def rows_of(folder):
    with (folder / "evaluation_caption_trials.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_search_over_adapters_is_compared_in_one_table(pictures, capsys):  # noqa: F811
    settings = ["training.epochs=2", "training.sample_clips=0", "ray.cpus_per_trial=1", SEARCH]
    printed = run(pictures, main, capsys, settings=settings)
    given = ["--conf", pictures.conf, *(part for setting in settings for part in ("--set", setting))]
    assert re.search(r"-m postprocessing\.caption_metrics .*--trials$", printed.splitlines()[-1])
    caption_metrics.main([*given, "--trials"])
    out = capsys.readouterr().out
    assert re.search(r"\nnext: .*-m postprocessing\.caption_metrics --conf [^\n]*\n$", out)
    folder = pictures.run().folder
    *trials, baseline = rows_of(folder)
    assert {row["model.adapter.name"] for row in trials} == {*TOKENS}
    assert [float(row["val_loss"]) for row in trials] == sorted(float(row["val_loss"]) for row in trials)
    lengths = pictures.run().build("val").data("val").frames.lengths
    for row in trials:
        trial, count = folder / row["trial"], TOKENS[row["model.adapter.name"]]
        state = read_checkpoint(find_trial(folder, row["trial"]).checkpoint.folder)["model"]
        learned = [value.numel() for key, value in state.items() if ".standardisation." not in key]
        tokens = sorted(count(int(length)) for length in lengths)
        assert int(row["trainable_parameters"]) == sum(learned)
        assert [int(row["input_tokens"]), int(row["longest_input_tokens"])] == [tokens[1], tokens[3]]
        steps = [epoch["train_s"] / 2 for epoch in read_history(trial)]  # 8 captions, 4 a batch
        assert float(row["step_s"]) == pytest.approx(sum(steps) / 2)
        said = read_captions(trial / "evaluation_captions.csv")
        both = [item.hypothesis for item in said], [item.references for item in said]
        assert float(row["CIDEr-D"]) == cider_d(*both).value
        assert float(row["ROUGE-L"]) == rouge_l(*both).value
        assert float(row["BLEU-4"]) == bleu(*both)["BLEU-4"].value
        assert float(row["use_of_input_low"]) <= float(row["use_of_input"]) <= float(row["use_of_input_high"])
    report = json.loads((folder / "evaluation_caption_trials.json").read_text())
    constant = [report["most_frequent_caption"]] * len(said)
    assert baseline["trial"] == "most frequent caption"
    assert float(baseline["CIDEr-D"]) == cider_d(constant, both[1]).value
    table = (folder / "evaluation_caption_trials.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == [*(f"| {row['trial']}" for row in trials), "| most frequent"]
