"""Metrics of captions of a trained run and of other systems: table, JSON and page."""

import csv
import json

import pytest

from postprocessing import caption_metrics
from tests.pages import read, targets
from tests.postprocessing.commands import error_of, run
from utils.artefact_utils import CaptionRow, read_clips, read_text_table, write_captions
from utils.data_utils.caption_rows import one_line
from utils.metric_utils.captions.baselines import most_frequent_caption, shuffled_inputs
from utils.metric_utils.captions.bleu import bleu
from utils.metric_utils.captions.cider import cider_d
from utils.metric_utils.captions.statistics import use_of_input

METRICS = [
    *("CIDEr-D", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "BERTScore", "BERTScore_rescaled"),
    "sentence_similarity",
]
NETWORKS = ["--sentence-model", "encoder", "--bert-model", "encoder", "--bert-layers", "1"]


@pytest.fixture
def captioned(trained, monkeypatch):
    """A trained run whose trial has captions: of each clip its first reference, but for the last clip, without any."""
    monkeypatch.chdir(trained)
    clips, references = split_of(trained)
    said = [references[clip.fid][0] for clip in clips[:-1]] + [""]
    rows = [CaptionRow(c.fid, references[c.fid], text) for c, text in zip(clips, said, strict=True)]
    write_captions(trained / "runs" / "tiny" / "trial_00000" / "evaluation_captions.csv", rows)
    return trained


def split_of(folder):
    features = folder / "features"
    clips = read_clips(features / "audio_info.pkl", "evaluation", "")
    references = {}
    for caption in read_text_table(features / "evaluation_text.csv", ""):
        references.setdefault(caption.fid, []).append(one_line(caption))
    return clips, references


def measured(folder, capsys, *arguments):
    result = run(caption_metrics.main, capsys, folder, *NETWORKS, *arguments)
    assert result.code == 0, result.err
    return result


def report_of(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_numbers_are_those_of_the_metrics(captioned, capsys):
    printed = measured(captioned, capsys).out
    report = report_of(captioned / "runs" / "tiny" / "evaluation_caption_metrics.json")
    clips, references = split_of(captioned)
    said = [references[clip.fid][0] for clip in clips[:-1]] + [""]
    people = [references[clip.fid] for clip in clips]
    training = read_text_table(captioned / "features" / "development_text.csv", "")
    frequent = most_frequent_caption([one_line(caption) for caption in training])
    others = shuffled_inputs(said)
    for system, captions in (
        ("model", said),
        ("most_frequent_caption", [frequent] * len(clips)),
        ("shuffled_inputs", others),
    ):
        assert list(report[system]) == [*METRICS, "vocabulary", "distinct_captions"]
        assert report[system]["CIDEr-D"] == cider_d(captions, people).value
        assert report[system]["BLEU-4"] == bleu(captions, people)["BLEU-4"].value
        assert set(report["intervals"][system]) == set(METRICS)
    difference = use_of_input({"CIDEr-D": cider_d(said, people)}, {"CIDEr-D": cider_d(others, people)})["CIDEr-D"]
    assert report["use_of_input"]["CIDEr-D"] == difference._asdict()
    over = report["over_most_frequent_caption"]["CIDEr-D"]["value"]
    assert over == pytest.approx(report["model"]["CIDEr-D"] - report["most_frequent_caption"]["CIDEr-D"])
    assert report["model"]["BERTScore"] == pytest.approx((len(clips) - 1) / len(clips), abs=1e-4)
    assert report["model"]["sentence_similarity"] > report["shuffled_inputs"]["sentence_similarity"]
    assert report["intervals"]["level"] == 0.95
    assert report["clips"] == len(clips)
    assert report["empty_hypotheses"] == 1
    assert report["collapse"] is None
    assert report["made_from"]["checkpoint"] is None  # nothing beside the table notes it
    assert report["made_from"]["bert_layers"] == 1
    assert report["made_from"]["most_frequent_caption"] == frequent
    assert f"1 of {len(clips)} hypotheses are empty" in printed
    assert "use of the input" in printed


def test_the_page_plays_the_clips_wherever_it_is(captioned, capsys):
    measured(captioned, capsys, "--shown", "1")
    clips, references = split_of(captioned)
    for folder in (captioned / "runs" / "tiny", captioned / "runs" / "tiny" / "trial_00000"):
        page = folder / "evaluation_captions.html"
        tree = read(page)
        assert [node.one("h2").text for node in tree.all("section")] == ["Metrics", "Best", "Worst", "In between"]
        assert len(tree.all("article")) == len(clips)
        sounds = [path.resolve() for path in targets(page) if path.suffix == ".wav"]
        assert sorted(sounds) == sorted((captioned / "corpus" / clip.path).resolve() for clip in clips)
        (worst,) = tree.section("Worst").all("article")
        assert worst.one("h3").text == clips[-1].fname
        assert [item.text for item in worst.all("li")] == ["(says nothing)", *references[clips[-1].fid]]


def test_a_file_of_another_system_equals_ours(captioned, capsys):
    measured(captioned, capsys)
    own = report_of(captioned / "runs" / "tiny" / "evaluation_caption_metrics.json")
    clips, references = split_of(captioned)
    with (captioned / "other.csv").open("w", newline="", encoding="utf-8") as stream:
        said = [references[clip.fid][0] for clip in clips[:-1]] + [""]
        rows = [[clip.fname, text] for clip, text in zip(clips, said, strict=True)]
        csv.writer(stream).writerows([["file_name", "caption_predicted"], *rows])
    measured(captioned, capsys, "other.csv")
    folder = captioned / "runs" / "foreign" / "other.csv"
    other = report_of(folder / "evaluation_caption_metrics.json")
    assert {key: other[key] for key in other if key != "made_from"} == {k: own[k] for k in own if k != "made_from"}
    assert other["made_from"]["checkpoint"] == "other.csv"
    assert len(read(folder / "evaluation_captions.html").all("audio")) == len(clips)


def test_one_caption_of_all_clips_and_missing_clips_are_reported(captioned, capsys):
    clips, _ = split_of(captioned)
    with (captioned / "other.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["fname", "preds"], *([clip.fname, "a dog"] for clip in clips[:-1])])
    printed = measured(captioned, capsys, "other.csv").out
    assert f"collapsed: {len(clips) - 1} of {len(clips) - 1} clips have one and the same caption, 'a dog'" in printed
    assert f"1 clip of 'evaluation' has no row in other.csv, '{clips[-1].fname}'; it is not measured" in printed
    assert f"other.csv, {len(clips) - 1} of {len(clips)} clips" in printed
    report = report_of(captioned / "runs" / "foreign" / "other.csv" / "evaluation_caption_metrics.json")
    assert report["use_of_input"]["CIDEr-D"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_document_frequencies_are_those_of_the_split_whatever_part_is_measured(captioned, capsys):
    clips, references = split_of(captioned)
    rows = [[clip.fname, references[clip.fid][1]] for clip in clips]
    with (captioned / "one.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["fname", "preds"], rows[0]])
    printed = measured(captioned, capsys, "one.csv").out
    report = report_of(captioned / "runs" / "foreign" / "one.csv" / "evaluation_caption_metrics.json")
    people = [references[clip.fid] for clip in clips]
    of_all = cider_d([row[1] for row in rows], people).values[0, 0]
    assert report["model"]["CIDEr-D"] == pytest.approx(of_all)
    assert of_all > 0
    assert f"one.csv, 1 of {len(clips)} clips" in printed
    assert "shuffled_inputs" not in report
    assert "shuffled" not in printed
    assert "What the model has more" not in printed


def test_ids_of_no_clip_that_have_references_are_counted(captioned, capsys):
    rows = [CaptionRow(f"elsewhere{number}", ["a dog barks", "a dog"], "a dog") for number in range(3)]
    write_captions(captioned / "other.csv", rows)
    printed = measured(captioned, capsys, "other.csv").out
    assert "3 of 3 ids are no clip of 'evaluation', such as 'elsewhere0'; measured by the references in" in printed
    report = report_of(captioned / "runs" / "foreign" / "other.csv" / "evaluation_caption_metrics.json")
    assert report["made_from"]["ids_of_no_clip"] == 3
    assert report["model"]["CIDEr-D"] == 0  # every word is in the references of all three


def test_references_that_are_all_alike_leave_nothing_to_rescale_by(captioned, capsys):
    rows = [CaptionRow(f"elsewhere{number}", ["a dog barks"], "a dog") for number in range(3)]
    write_captions(captioned / "alike.csv", rows)
    printed = measured(captioned, capsys, "alike.csv").out
    line = "BERTScore_rescaled is left out: people's captions of other clips have a BERTScore of 1.0000: "
    assert line in printed
    folder = captioned / "runs" / "foreign" / "alike.csv"
    report = report_of(folder / "evaluation_caption_metrics.json")
    assert report["model"]["BERTScore_rescaled"] is None
    assert list(report["absent"]) == ["BERTScore_rescaled"]
    assert any(note.text.startswith(line) for note in read(folder / "evaluation_captions.html").all("p"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trial", "trial_00000", "x.csv"], r"x.csv: does not go with --trial; leave one of them out"),
        (["none.csv"], "none.csv: no such file; name a file of captions"),
        (["--bert-layers", "99"], "--bert-model: encoder has "),
        (["--sentence-model", "nowhere/at-all"], "--sentence-model: "),
    ],
)
def test_bad_arguments(captioned, capsys, arguments, message):
    assert message in error_of(run(caption_metrics.main, capsys, captioned, *NETWORKS, *arguments))


def test_captions_that_are_not_written_yet(trained, capsys, monkeypatch):
    monkeypatch.chdir(trained)
    found = error_of(run(caption_metrics.main, capsys, trained, *NETWORKS))
    assert "evaluation_captions.csv: no such file; name a file of captions" in found
