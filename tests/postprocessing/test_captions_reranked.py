"""Of several captions of a sound, the one that a retrieval run finds nearest."""

import argparse

import numpy as np
import pytest

from postprocessing import captions
from tasks import load_encoder, open_trained_run
from tasks.captioning.run import CaptioningRun
from tests import tiny
from tests.tasks.captioning.conftest import _corpora, made, sounds  # noqa: F401 - fixtures
from tests.training import run_of, write_trial
from utils.artefact_utils import read_captions


@pytest.mark.parametrize("method", ["sample", "beam"])
def test_a_retrieval_run_chooses_among_captions(sounds, request, method):  # noqa: F811
    """Of three captions, the one whose embedding is nearest to that of the sound: computed again here."""
    settings = tiny.conf(request.getfixturevalue("_made")) | {"output_root": str(sounds.folder / "runs")}
    tiny.write_conf(sounds.folder, settings)
    retrieval = run_of(sounds.folder)
    write_trial(retrieval)
    trained = sounds.run("training.epochs=3")
    write_trial(trained)
    given = ["--conf", sounds.conf, "--set", "training.epochs=3", "--set", f"generation.method={method}"]
    captions.main([*given, "--rerank", str(retrieval.folder), "--candidates", "3", "--batch-size", "4"])
    rows = read_captions(trained.folder / "evaluation_captions.csv")

    with open_trained_run(given, argparse.ArgumentParser(), CaptioningRun) as (found, _):
        task = found.task()
    data = task.data("eval")
    encoder = load_encoder(retrieval.folder)
    (batch,) = data.without_captions(np.arange(4), 4)
    by_fid = {row.id: row.hypothesis for row in rows}
    for clip, texts in zip(batch.clips, task.candidates(batch, 3), strict=True):
        sound = encoder.encode_audio([sounds.folder / "corpus" / data.clips[clip].path])[0]
        scores = {text: float(sound @ encoder.encode_text([text])[0]) for text in texts if text}
        assert by_fid[data.clips[clip].fid] == (max(scores, key=scores.get) if scores else "")


def test_pictures_have_no_retrieval_run(made, capsys):  # noqa: F811
    write_trial(made.run())
    with pytest.raises(SystemExit) as stop:
        captions.main(["--conf", made.conf, "--rerank", "runs/demo"])
    wanted = "a retrieval run embeds sounds" if made.kind == "pictures" else "generation.method is greedy"
    assert stop.value.code == 2
    assert wanted in capsys.readouterr().err
