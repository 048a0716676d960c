"""`caption_metrics --trials`: killed and run again, trials that have no captions, and what it refuses."""

import csv
import json

import pytest

from postprocessing import caption_metrics, captions
from tasks.captioning.task import CaptioningTask
from tests import tiny
from tests.children import KilledAt, in_child
from tests.tasks.captioning.conftest import _corpora, sounds  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils import write_json
from utils.cli_utils import command_line
from utils.model_utils.trials import TrialEnd, write_end

SEARCH = {"model.adapter.name": {"grid": ["MeanPoolingAdapter", "LeastSquaresAdapter"]}}


@pytest.fixture
def searched(sounds):  # noqa: F811
    """Two trials, one that has diverged and one that has failed at once."""
    names = [*SEARCH["model.adapter.name"]["grid"], "ConcatenationAdapter", "PerceiverAdapter"]
    for number, name in enumerate(names[:3]):
        run = sounds.run("training.epochs=1", "training.sample_clips=0", f"model.adapter.name={name}")
        write_trial(run, f"trial_{number:05d}")
        for path in (run.folder / f"trial_{number:05d}").glob("checkpoint_*"):
            metrics = json.loads((path / "checkpoint.json").read_text())["metrics"]
            (path.parent / "result.json").write_text(json.dumps(metrics) + "\n")
    folder = run.folder
    write_end(folder / "trial_00002", TrialEnd("diverged", 1, "epoch 2: the loss is nan"))
    (folder / "trial_00003").mkdir()
    (folder / "trial_00003" / "error.txt").write_text("ArtefactError: none; write it: <make language-model>\n")
    draws = {f"trial_{number:05d}": {"model.adapter.name": name} for number, name in enumerate(names)}
    write_json(folder / "trials.json", {"format_version": 1, "trials": draws})
    return sounds


def compare(made, *arguments):
    caption_metrics.main(["--conf", made.conf, "--trials", *arguments])


def table_of(made):
    with (made.run().folder / "evaluation_caption_trials.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_trials_without_captions_say_so_and_the_others_are_measured(searched, capsys):
    compare(searched)
    rows = {row["trial"]: row for row in table_of(searched)}
    command = command_line("preprocessing.caption_language_model", "--conf", searched.conf)
    assert [(name, row["ended"], row["CIDEr-D"] != "") for name, row in sorted(rows.items())] == [
        ("most frequent caption", "", True),
        ("trial_00000", "not finished", True),
        ("trial_00001", "not finished", True),
        ("trial_00002", "diverged", False),
        ("trial_00003", f"failed: none; write it: {command}", False),
    ]
    assert rows["trial_00001"]["trainable_parameters"] == "0"
    assert [*rows][-1] == "most frequent caption"
    shown = capsys.readouterr().out
    assert "Trials, the best on validation first" in shown
    assert "use of the input (95 %)" in shown
    assert f"trial_00003: failed: none; write it: {command}" in shown
    assert "LeastSquaresAdapter" not in shown  # each name is shown without what all end with


def test_the_settings_of_the_search_are_taken_again(searched):
    """A drawn adapter has other keys than the one that `--set` names."""
    adapter = "model.adapter={name: MeanPoolingAdapter, tokens: 4, hidden_dim: 64, standardise: true}"
    search = f"search={json.dumps(SEARCH)}"
    compare(searched, "--set", adapter, "--set", search)
    assert {row["trial"] for row in table_of(searched) if row["CIDEr-D"]} >= {"trial_00000", "trial_00001"}
    with pytest.raises(SystemExit):
        compare(searched, "--set", adapter.replace("64", "32"), "--set", search)


def test_a_killed_comparison_goes_on_and_captions_are_not_written_twice(searched, monkeypatch):
    killed = KilledAt()
    monkeypatch.setattr(CaptioningTask, "written", killed.counted(CaptioningTask.written))
    killed.restart(2)  # after the first trial, which is one batch
    child = in_child(lambda: compare(searched))
    child.join(120)
    assert child.exitcode == -9
    killed.restart()
    compare(searched)
    assert killed.count == 1
    whole = table_of(searched)
    compare(searched)
    assert killed.count == 1
    assert table_of(searched) == whole


def test_captions_of_other_settings_or_that_were_changed_are_written_again(searched, monkeypatch):
    counted = KilledAt()
    monkeypatch.setattr(CaptioningTask, "written", counted.counted(CaptioningTask.written))
    compare(searched)
    captions.main(["--conf", searched.conf, "--trial", "trial_00000", "--set", "generation.max_new_tokens=2"])
    table = searched.run().folder / "trial_00001" / "evaluation_captions.csv"
    table.write_bytes(table.read_bytes().replace(b"\n", b" \n", 1))
    counted.restart()
    compare(searched)
    assert counted.count == 2
    compare(searched)
    assert counted.count == 2


def test_a_trial_that_says_the_same_of_all_clips_is_named(searched, capsys, monkeypatch):
    monkeypatch.setattr(CaptioningTask, "written", lambda self, batch: ["dog"] * len(batch.clips))
    compare(searched)
    shown = capsys.readouterr().out
    for name in ("trial_00000", "trial_00001"):
        assert f"{name}: collapsed: 4 of 4 clips have one and the same caption, 'dog'" in shown
    assert {row["use_of_input"] for row in table_of(searched) if row["clips"]} == {"0.0"}


def test_a_broken_trial_is_left_out_with_a_line(searched, capsys):
    folder = searched.run().folder
    for path in (folder / "trial_00001").glob("checkpoint_*/checkpoint.pt"):
        path.write_bytes(path.read_bytes()[:-10])
    compare(searched)
    (row,) = [row for row in table_of(searched) if row["trial"] == "trial_00001"]
    assert (row["ended"], row["CIDEr-D"]) == ("not finished, no captions", "")
    assert "trial_00001 is left out: trial" in capsys.readouterr().out
    report = json.loads((folder / "evaluation_caption_trials.json").read_text())
    assert "no checkpoint is whole" in report["trials"]["trial_00001"]["trouble"]


def test_networks_are_loaded_where_they_are_named(searched, tmp_path):
    tiny.write_sentence_encoder(tmp_path / "sentences")
    compare(searched)
    assert "sentence_similarity" not in table_of(searched)[0]
    named = [part for name in ("--sentence-model", "--bert-model") for part in (name, str(tmp_path / "sentences"))]
    compare(searched, *named, "--bert-layers", "1")
    assert all(row["sentence_similarity"] for row in table_of(searched) if row["CIDEr-D"])
    report = json.loads((searched.run().folder / "evaluation_caption_trials.json").read_text())
    assert report["made_from"]["bert_layers"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.csv"], "--trials: does not go with FILE; leave one of them out"),
        (["--trial", "trial_00000", "--checkpoint", "c"], "--trials: does not go with --trial, --checkpoint"),
        (["--run", "nowhere"], "run nowhere does not exist; train first"),
    ],
)
def test_what_is_refused(sounds, capsys, arguments, message):  # noqa: F811
    with pytest.raises(SystemExit) as stop:
        compare(sounds, *arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
