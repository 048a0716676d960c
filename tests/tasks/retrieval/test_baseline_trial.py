"""A user of the baseline's checkpoint scores and searches with it, without training."""

import json

import h5py
import numpy as np
import pytest
import torch

from postprocessing import search, xmodal_retrieval, xmodal_scores
from preprocessing import cnn14_transfer
from tests.models.audio_encoders.test_panns_published import training_checkpoint
from tests.models.plain_dcase import plain_dcase
from tests.postprocessing.commands import error_of, run
from tests.training import run_of
from utils.artefact_utils import load_pickle


@pytest.fixture
def checkpoint(prepared, monkeypatch):
    """The file, and the network and text head in it."""
    monkeypatch.chdir(prepared)
    network = plain_dcase(seed=3).eval()
    audio, optimizer = training_checkpoint(network)
    head = torch.nn.Linear(16, 5)
    audio = {key: value for key, value in audio.items() if not key.startswith("text_enc.fc")}
    audio |= {f"text_enc.fc.{key}": value for key, value in head.state_dict().items()}
    torch.save((audio, optimizer), prepared / "checkpoint")
    return network, head


def _expected(folder, network, head):
    """(captions, clips) scores of the evaluation split by the plain networks, a clip at a time."""
    split = run_of(folder).build("evaluation").data("evaluation")
    vectors, _ = load_pickle(folder / "features" / "sbert_embeds.pkl", "")
    norm = torch.nn.functional.normalize
    clips = []
    with h5py.File(folder / "features" / "evaluation_audio_logmels.hdf5") as stream, torch.no_grad():
        for clip in split.clips:
            features = torch.from_numpy(stream[clip.fid][()])
            clips.append(norm(network(features[None]), dim=-1)[0].numpy())
        texts = norm(head(torch.from_numpy(np.stack([vectors[c.tid] for c in split.captions]))), dim=-1).numpy()
    return texts, clips


def test_its_scores_are_those_of_both_networks(prepared, checkpoint, capsys):
    settings = ["--set", "data.max_duration_s=60"]
    made = run(cnn14_transfer.main, capsys, prepared, "checkpoint", "--as-trial", *settings)
    assert made.code == 0, made.err
    (trial,) = (prepared / "runs" / "tiny").iterdir()
    assert f"{trial}: a trial with both encoders\nnext: " in made.out
    assert made.out.endswith(f" --trial {trial.name}\n")
    params = json.loads((trial / "params.json").read_text())
    assert (params["model"]["out_dim"], params["model"]["audio_encoder"]["last_pool"]) == (5, "dcase2023")
    assert run(xmodal_scores.main, capsys, prepared, "--trial", trial.name).code == 0
    texts, clips = _expected(prepared, *checkpoint)
    with h5py.File(trial / "evaluation_xmodal_scores.hdf5") as stream:
        found = {name: stream[name][()] for name in stream if isinstance(stream[name], h5py.Dataset)}
    scores = next(value for value in found.values() if value.shape == (len(texts), len(clips)))
    np.testing.assert_allclose(scores, texts @ np.stack(clips).T, atol=1e-5)
    assert scores.std() > 0.01
    assert run(xmodal_retrieval.main, capsys, prepared, "--trial", trial.name).code == 0
    found = run(search.main, capsys, prepared, "--trial", trial.name, "a dog barks")
    assert found.code == 0
    again = run(cnn14_transfer.main, capsys, prepared, "checkpoint", "--as-trial", *settings)
    assert (again.code, len(list((prepared / "runs" / "tiny").glob("trial_*")))) == (0, 1)


def test_an_encoder_alone_or_another_front_end_is_refused(prepared, checkpoint, capsys):
    torch.save(checkpoint[0].state_dict(), "audio_encoder.pth")
    message = error_of(run(cnn14_transfer.main, capsys, prepared, "audio_encoder.pth", "--as-trial"))
    assert message == (
        "audio_encoder.pth: holds no text encoder text_enc.fc, so that nothing can be scored with it; take the "
        "`checkpoint` of a trial, or train one from these weights"
    )
    panns = ["--set", "data.front_end.name=panns"]
    message = error_of(run(cnn14_transfer.main, capsys, prepared, "checkpoint", "--as-trial", *panns))
    assert message == "data.front_end is panns; checkpoint needs data.front_end: {name: dcase2023}"
