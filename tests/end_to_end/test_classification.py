"""A small wav2vec2 learns kinds of the embedded corpus from scratch; restored by the report, it knows unheard clips."""

import json

import pytest
import yaml

import main
from postprocessing import classification_report
from preprocessing import small_wav2vec2, youtube_dataset
from preprocessing.synthetic_corpus.single_kinds import write_single_kinds
from tests import tiny

KINDS = ("bell", "rain", "siren")


@pytest.fixture
def conf(tmp_path):
    """conf.yaml beside a corpus of three kinds: the block of a small wav2vec2 of tasks/classification.yaml, smaller."""
    write_single_kinds(tmp_path / "kinds", dict.fromkeys(KINDS, 12), seed=0, workers=1)
    settings = yaml.safe_load((tiny.ROOT / "tasks" / "classification.yaml").read_text(encoding="utf-8"))
    settings["output_root"] = str(tmp_path / "runs")
    settings["data"] |= {"root": str(tmp_path / "kinds"), "features": str(tmp_path / "features"), "max_duration_s": 2}
    settings["model"]["audio_encoder"] = {
        "name": "Wav2Vec2Encoder",
        "model": str(tmp_path / "features" / small_wav2vec2.FOLDER),
        "freeze_feature_encoder": False,
        "pooling": "statistics",
        "weighted_layers": True,
    }
    settings["optimizer"] |= {"lr": 3e-3, "groups": {"audio_encoder.backbone": {"lr": 2e-3}}}
    settings["training"] |= {"epochs": 8, "batch_size": 8, "device": "cpu"}
    return tiny.write_conf(tmp_path, settings)


def test_kinds_are_told_apart_from_sounds_to_a_report(conf, capsys):
    run = ["--conf", str(conf)]
    youtube_dataset.main([*run, "--workers", "1"])
    small_wav2vec2.main([*run, "--hidden-size", "32", "--layers", "1"])
    main.main(run)
    assert "categories: the names of the 3 folders of kinds" in capsys.readouterr().out

    classification_report.main(run)
    folder = conf.parent / "runs" / "demo-classification"
    systems = json.loads((folder / "evaluation_classification_metrics.json").read_text())["systems"]
    assert systems["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert systems["demo-classification"]["accuracy"] >= 0.55
    assert systems["demo-classification"]["macro_f1"] >= 0.5
    # the restored network answers as the trained one did when it was chosen
    chosen = systems["demo-classification"]["selected_on_validation"]
    rows = [json.loads(line) for line in (folder / "trial_00000" / "result.json").read_text().splitlines()]
    assert max(row["macro_f1"] for row in rows) == pytest.approx(chosen, abs=1e-6)
