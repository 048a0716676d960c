"""Checkpoints hold what learns, and of frozen pretrained networks where they come from and a digest."""

import json
import shutil

import pytest
import torch

from postprocessing import export, xmodal_scores
from tests import tiny, tiny_models
from tests.training import differences, fit_of, keep_checkpoints, run_of, write_trial
from utils.cli_utils import ArtefactError, UserError
from utils.config_utils import to_mapping
from utils.model_utils import checkpoint_bytes, read_checkpoint, read_facts, write_checkpoint
from utils.model_utils.frozen_weights import digest_of
from utils.model_utils.trials import checkpoint_folders
from utils.weight_utils import read_weights, write_weights

FROZEN = ("dual_encoder.audio_encoder.backbone.", "dual_encoder.text_encoder.network.")


@pytest.fixture
def run(prepared):
    """Frozen wav2vec 2.0 and CLIP, each below a layer that learns."""
    tiny_models.write_wav2vec2(prepared / "wav2vec2")
    tiny_models.write_clip(prepared / "clip")
    settings = tiny.conf(prepared)
    settings["training"] |= {"batch_size": 16, "epochs": 2}
    settings["model"] |= {
        "audio_encoder": {"name": "Wav2Vec2Encoder", "model": str(prepared / "wav2vec2"), "trainable": False},
        "text_encoder": {"name": "CLIPTextEncoder", "model": str(prepared / "clip"), "trainable": False},
    }
    tiny.write_conf(prepared, settings)
    return run_of(prepared)


@pytest.fixture
def trial(run):
    return write_trial(run)


def newest(trial):
    return checkpoint_folders(trial)[-1]


def test_a_checkpoint_names_frozen_networks_and_holds_the_rest(run, trial, prepared):
    state = read_checkpoint(newest(trial))
    whole = fit_of(run).model.state_dict()
    assert state["model"].keys() == {key for key in whole if not key.startswith(FROZEN)}
    assert set(state["frozen"]) == {prefix.removesuffix(".") for prefix in FROZEN}
    audio, text = (state["frozen"][prefix.removesuffix(".")] for prefix in FROZEN)
    assert (audio["source"], text["source"]) == (str(prepared / "wav2vec2"), str(prepared / "clip"))
    inside = {k.removeprefix(FROZEN[0]): v for k, v in whole.items() if k.startswith(FROZEN[0])}
    assert audio["digest"] == digest_of(inside)


def test_the_estimate_is_the_size_of_a_checkpoint(run, trial):
    model = fit_of(run).model
    size = (newest(trial) / "checkpoint.pt").stat().st_size
    assert checkpoint_bytes(model, run.optimizer) == pytest.approx(size, abs=40_000)  # random states, names
    frozen = sum(v.nbytes for k, v in model.state_dict().items() if k.startswith(FROZEN))
    assert frozen > 50_000


def test_a_resumed_run_equals_an_uninterrupted_one(run, trial, tmp_path):
    shutil.copytree(trial / "checkpoint_000000", tmp_path / "checkpoint_000000")
    again = fit_of(run)
    again.restore(checkpoint_folders(tmp_path))
    again.run(keep_checkpoints(tmp_path), to_mapping(run))
    assert differences(read_checkpoint(newest(tmp_path)), read_checkpoint(newest(trial))) == []


def test_another_state_of_the_same_name_is_refused_on_resume_and_in_stage_3(run, trial, prepared, capsys):
    tiny_models.write_wav2vec2(prepared / "wav2vec2", seed=7)
    with pytest.raises(ArtefactError) as error:
        fit_of(run).restore([newest(trial)])
    assert str(error.value).startswith(
        f"{newest(trial)}/checkpoint.pt: was trained with {prepared / 'wav2vec2'} in another state than it has now "
    )
    assert str(error.value).endswith("<make training --fresh>")
    with pytest.raises(SystemExit) as code:
        xmodal_scores.main(["--conf", str(prepared / "conf.yaml")])
    assert code.value.code == 2
    assert "wav2vec2 in another state than it has now" in capsys.readouterr().err


def test_a_frozen_network_that_is_gone_is_named_in_stage_3(trial, prepared, capsys):
    shutil.move(prepared / "clip", prepared / "moved")
    with pytest.raises(SystemExit) as code:
        xmodal_scores.main(["--conf", str(prepared / "conf.yaml")])
    assert code.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"{prepared / 'clip'}: no such folder" in line
    assert "holds of this frozen network its name and digest alone: put it back where it was in training" in line


def as_version_1(run, folder):
    """The checkpoint as it was when frozen weights were saved with the rest."""
    state, facts = read_checkpoint(folder), read_facts(folder)
    del state["frozen"]
    whole = fit_of(run).model.state_dict()
    state["model"] = {key: state["model"].get(key, value) for key, value in whole.items()}
    write_checkpoint(folder, state | {"format_version": 1}, facts.metrics, facts.selection)


def test_a_checkpoint_with_frozen_weights_in_it_is_still_read(run, trial, prepared, tmp_path):
    expected = read_checkpoint(newest(trial))
    as_version_1(run, trial / "checkpoint_000000")
    shutil.copytree(trial / "checkpoint_000000", tmp_path / "checkpoint_000000")
    again = fit_of(run)
    again.restore(checkpoint_folders(tmp_path))
    again.run(keep_checkpoints(tmp_path), to_mapping(run))
    assert differences(read_checkpoint(newest(tmp_path)), expected) == []
    tiny_models.write_wav2vec2(prepared / "wav2vec2", seed=7)
    with pytest.raises(ArtefactError, match="in another state than it has now"):
        fit_of(run).restore([trial / "checkpoint_000000"])


@pytest.mark.parametrize("noted", [3, {"a": 3}, {"a": {"source": "x"}}, {"a": {"source": 1, "digest": "x"}}])
def test_notes_that_are_none_are_refused_in_one_line(noted, run, trial):
    state, facts = read_checkpoint(newest(trial)), read_facts(newest(trial))
    write_checkpoint(newest(trial), state | {"frozen": noted}, facts.metrics, facts.selection)
    with pytest.raises(ArtefactError, match=r"checkpoint\.pt: 'frozen': .*; use another checkpoint"):
        fit_of(run).restore([newest(trial)])


@pytest.mark.parametrize("held", [{"trainable": False}, {"freeze_blocks": 2}], ids=str)
def test_frozen_blocks_of_a_file_are_not_saved_and_an_export_holds_them(held, prepared, capsys):
    random = run_of(prepared).build().dual_encoder.audio_encoder
    write_weights(prepared / "cnn.pth", random.state_dict(), {})
    settings = tiny.conf(prepared)
    settings["model"]["audio_encoder"] |= {"weights": str(prepared / "cnn.pth"), **held}
    tiny.write_conf(prepared, settings)
    trial = write_trial(run_of(prepared))
    saved = {key for key in read_checkpoint(newest(trial))["model"] if "conv_block1" in key}
    assert saved == set()
    export.main(["--conf", str(prepared / "conf.yaml")])
    exported = read_weights(trial / "audio_encoder.pth", "").state
    assert exported.keys() == random.state_dict().keys()
    assert torch.equal(exported["conv_block1.conv1.weight"], random.state_dict()["conv_block1.conv1.weight"])
    assert json.loads((trial / "audio_encoder.json").read_text())["audio_encoder"]["weights"] is None
    (prepared / "cnn.pth").unlink()
    with pytest.raises(UserError, match=r"cnn\.pth: no such file; .*name and digest alone: put it back"):
        xmodal_scores.main.__wrapped__(["--conf", str(prepared / "conf.yaml")])


def test_frozen_weights_that_are_nowhere_else_are_saved(prepared):
    settings = tiny.conf(prepared)
    settings["model"]["audio_encoder"] |= {"trainable": False}  # random: no file holds them
    tiny.write_conf(prepared, settings)
    run = run_of(prepared)
    state = read_checkpoint(newest(write_trial(run)))
    assert (state["frozen"], state["model"].keys()) == ({}, fit_of(run).model.state_dict().keys())


def test_a_digest_changes_with_any_name_shape_type_or_bit():
    states = [
        {"a": torch.zeros(2, 2)},
        {"b": torch.zeros(2, 2)},
        {"a": torch.zeros(4)},
        {"a": torch.zeros(2, 2, dtype=torch.int32)},
        {"a": torch.tensor([[0.0, 0.0], [0.0, -0.0]])},
        {"a": torch.zeros(2, 2, dtype=torch.bfloat16)},
        {"a": torch.tensor(0.0)},
    ]
    digests = [digest_of(state) for state in states]
    assert len(set(digests)) == len(states)
    assert digest_of({"a": torch.zeros(2, 4)[:, ::2]}) == digests[0]  # however it lies in memory
