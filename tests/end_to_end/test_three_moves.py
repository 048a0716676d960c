"""The three moves on a tiny corpus, with main.py killed and resumed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from main import main
from postprocessing import export, search, xmodal_retrieval, xmodal_scores
from preprocessing import audio_logmel, clotho_dataset, sbert_embeddings
from tests.training import differences, fit_of, run_of
from utils.model_utils import read_checkpoint, read_facts
from utils.model_utils.trials import checkpoint_folders

ROOT = Path(__file__).parents[2]
EPOCHS = 16
# windows, dropout and warm-up: all that a resume has to restore
SETTINGS = [f"training.epochs={EPOCHS}", "data.max_duration_s=0.5"]


def kill_after(folder: Path, command: list[str], checkpoints: int) -> None:
    """Run a command, and kill it and all it started as soon as `folder` holds so many whole checkpoints."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        stop = time.monotonic() + 120
        while len(list(folder.glob("checkpoint_*/checkpoint.json"))) < checkpoints:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < stop
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)


def test_three_moves(raw, capfd):
    conf = ["--conf", str(raw / "conf.yaml"), *(part for setting in SETTINGS for part in ("--set", setting))]
    clotho_dataset.main(conf)
    audio_logmel.main([*conf, "--workers", "1"])
    sbert_embeddings.main(conf)

    run = run_of(raw, *SETTINGS)
    trial = run.folder / "trial_00000"
    kill_after(trial, [sys.executable, "main.py", *conf], 3)
    assert json.loads((run.folder / "experiment.json").read_text())["finished"] is False
    oldest, *later = [folder for folder in checkpoint_folders(trial) if (folder / "checkpoint.json").is_file()]
    assert read_facts(later[-1]).epoch < EPOCHS

    capfd.readouterr()
    with pytest.raises(SystemExit) as refused:
        main(conf)
    assert refused.value.code == 2
    assert "holds an unfinished experiment; go on with --resume" in capfd.readouterr().err

    # all but the oldest are truncated: the trial repeats epochs and still goes through all of them
    for folder in later:
        state = folder / "checkpoint.pt"
        state.write_bytes(state.read_bytes()[:1000])
    assert not main([*conf, "--resume"])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert f"resumed after epoch {read_facts(oldest).epoch}" in out
    assert f"best trial: {trial}, epoch" in out

    fit = fit_of(run)
    fit.run(lambda metrics, save: None, {})
    held = read_checkpoint(checkpoint_folders(trial)[-1])
    whole = fit.state({})
    assert held["epoch"] == EPOCHS
    assert differences({key: held[key] for key in whole} | {"config": {}}, whole) == []

    capfd.readouterr()
    main(conf)
    assert "every trial has ended with these settings; reused" in capfd.readouterr().out
    xmodal_scores.main(conf)
    xmodal_retrieval.main(conf)
    search.main([*conf, "a dog barks twice"])
    export.main(conf)
    out = capfd.readouterr().out
    assert "'evaluation', trial_00000/" in out
    assert '"a dog barks twice" in 4 clips' in out
    made = {p.name for p in run.folder.iterdir() if p.is_file()}
    assert made >= {
        "evaluation_xmodal_scores.hdf5",
        "evaluation_retrieval_metrics.json",
        "evaluation.t2a_retrieval.csv",
        "audio_encoder.pth",
        "audio_encoder.json",
    }
    report = json.loads((run.folder / "evaluation_retrieval_metrics.json").read_text())
    for direction, queries, candidates in (("text_to_audio", 8, 4), ("audio_to_text", 4, 8)):
        assert (report[direction]["queries"], report[direction]["candidates"]) == (queries, candidates)
        assert {"R@1", "R@5", "R@10", "mAP@10"} <= set(report[direction])
        assert {"R@1", "R@5", "R@10", "mAP@10"} <= set(report["chance"][direction])
