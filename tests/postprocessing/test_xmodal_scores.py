import json
import shlex
import shutil

import h5py
import numpy as np
import pytest
import torch

from postprocessing import xmodal_scores
from preprocessing import audio_logmel
from tests.postprocessing.commands import command_of, error_of, run
from tests.training import run_of, write_trial
from utils.artefact_utils import read_clips, read_text_table, write_audio_info, write_json, write_text_table
from utils.model_utils import read_checkpoint, write_checkpoint
from utils.model_utils.training_spec import Selection


def embeddings(folder, checkpoint):
    """(text, audio) of the evaluation split, from the task itself."""
    run_ = run_of(folder)
    task = run_.build("evaluation")
    task.model().load_state_dict(read_checkpoint(checkpoint)["model"])
    task.model().eval()
    with torch.inference_mode():
        outputs = task.outputs("evaluation")
    return outputs.text, outputs.audio


def best_name(trial):
    """The best checkpoint, by hand: highest mAP@10, the earlier one among equals."""
    values = {p.parent.name: json.loads(p.read_text())["metrics"]["mAP@10"] for p in trial.glob("*/checkpoint.json")}
    return min(values, key=lambda name: (-values[name], name))


def test_scores_are_the_products_of_the_embeddings(trained, capsys):
    result = run(xmodal_scores.main, capsys, trained)
    assert result.code == 0
    trial = trained / "runs" / "tiny" / "trial_00000"
    text, audio = embeddings(trained, trial / best_name(trial))
    features = trained / "features"
    with h5py.File(trial / "evaluation_xmodal_scores.hdf5") as file:
        scores = file["scores"][:]
        np.testing.assert_allclose(scores, text @ audio.T, atol=1e-6)
        assert list(file["tid"].asstr()) == [c.tid for c in read_text_table(features / "evaluation_text.csv", "")]
        assert list(file["fid"].asstr()) == [c.fid for c in read_clips(features / "audio_info.pkl", "evaluation", "")]
        np.testing.assert_allclose(file["text_embeddings"], text, atol=1e-6)
        np.testing.assert_allclose(file["audio_embeddings"], audio, atol=1e-6)
        assert file.attrs["split"] == "evaluation"
        assert file.attrs["checkpoint"] == f"trial_00000/{best_name(trial)} (epoch {int(best_name(trial)[-1]) + 1})"
    assert "scored 8 captions x 4 clips of 'evaluation'" in result.out
    assert f"next: {command_of(trained, 'postprocessing.xmodal_retrieval')}" in result.out


def test_only_files_of_the_best_trial_are_published(trained, capsys):
    public = trained / "runs" / "tiny" / "evaluation_xmodal_scores.hdf5"
    worse = write_trial(run_of(trained), "trial_00001")
    for path in worse.glob("*/checkpoint.json"):
        facts = json.loads(path.read_text())
        write_json(path, facts | {"metrics": facts["metrics"] | {"mAP@10": 0.0}})
    run(xmodal_scores.main, capsys, trained, "--trial", "trial_00001")
    assert (worse / public.name).is_file()
    assert not public.exists()
    run(xmodal_scores.main, capsys, trained)
    assert public.read_bytes() == (trained / "runs" / "tiny" / "trial_00000" / public.name).read_bytes()


@pytest.mark.parametrize(("select_on", "wanted"), [("mAP@10", "trial_00001"), ("val_loss", "trial_00000")])
def test_the_best_trial_is_chosen_by_what_the_run_selects_on(select_on, wanted, prepared, capsys):
    """trial_00001 has the higher mAP@10 and the higher loss."""
    for number in range(2):
        trial = write_trial(run_of(prepared, f"training.select_on={select_on}"), f"trial_{number:05d}")
        for path in trial.glob("*/checkpoint.json"):
            facts = json.loads(path.read_text())
            write_json(path, facts | {"metrics": {"mAP@10": 0.1 + number, "val_loss": 1.0 + number}})
    result = run(xmodal_scores.main, capsys, prepared)
    assert f"{wanted}/checkpoint_000000 (epoch 1): scored" in result.out
    assert (prepared / "runs" / "tiny" / wanted / "evaluation_xmodal_scores.hdf5").is_file()


def test_another_split_and_checkpoint(trained, capsys):
    choices = ["--split", "validation", "--checkpoint", "checkpoint_000001", "--trial", "trial_00000"]
    result = run(xmodal_scores.main, capsys, trained, *choices)
    assert "trial_00000/checkpoint_000001 (epoch 2): scored 8 captions x 4 clips of 'validation'" in result.out
    assert (trained / "runs" / "tiny" / "validation_xmodal_scores.hdf5").is_file()
    # what comes next is about the same split and checkpoint
    assert "--trial trial_00000 --checkpoint checkpoint_000001 --split validation" in " ".join(result.out.split())


def test_cosine_ignores_the_norm(prepared, capsys):
    write_trial(run_of(prepared, "criterion.similarity=cosine", "model.out_norm=none"))
    run(xmodal_scores.main, capsys, prepared)
    with h5py.File(prepared / "runs" / "tiny" / "evaluation_xmodal_scores.hdf5") as file:
        text, audio = file["text_embeddings"][:], file["audio_embeddings"][:]
        cosine = (text @ audio.T) / np.linalg.norm(text, axis=1)[:, None] / np.linalg.norm(audio, axis=1)
        np.testing.assert_allclose(file["scores"], cosine, atol=1e-6)
        assert not np.allclose(np.linalg.norm(audio, axis=1), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "nowhere"], "run nowhere does not exist; train first: "),
        (["--trial", "x"], "trial 'x' does not exist; choices: trial_00000"),
        (["--checkpoint", "x"], "checkpoint 'x' does not exist; choices: checkpoint_000000, checkpoint_000001"),
        (["--split", "test"], "--split: found 'test', expected one of development, validation, evaluation"),
        (["--set", "model.out_dim=9"], "was trained with 8; stage 3 takes its settings from there; leave it out"),
        (["--set", "model.out_dims=3"], "model.out_dims: unknown key; did you mean 'out_dim'?"),
        (["--set", "model.out_dim=0"], "model.out_dim: Input should be greater than 0 (got 0)"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(arguments, message, trained, capsys):
    assert message in error_of(run(xmodal_scores.main, capsys, trained, *arguments))


def test_a_role_names_its_split(trained, capsys):
    result = run(xmodal_scores.main, capsys, trained, "--split", "val")
    assert "x 4 clips of 'validation'" in result.out
    assert (trained / "runs" / "tiny" / "validation_xmodal_scores.hdf5").is_file()


def test_the_data_may_have_moved(trained, capsys):
    (trained / "features").rename(trained / "moved")
    moved = ["--set", f"data.features={trained / 'moved'}", "--set", "ray.num_samples=3"]
    assert run(xmodal_scores.main, capsys, trained, *moved).code == 0


def test_features_of_another_front_end_are_repaired_for_the_run_not_for_the_yaml(trained, capsys):
    other = ["--set", "data.front_end={name: panns}"]
    audio_logmel.main(["--conf", str(trained / "conf.yaml"), "--workers", "1", *other])
    (beside,) = (trained / "features").glob("evaluation_audio_logmels-*.hdf5")
    beside.replace(trained / "features" / "evaluation_audio_logmels.hdf5")  # as if the run's own had never been there
    message = error_of(run(xmodal_scores.main, capsys, trained))
    command = shlex.split(message.split("write it again: ")[1])
    assert command[:3] == ["python", "-m", "preprocessing.audio_logmel"]
    audio_logmel.main([*command[3:], "--workers", "1"])
    assert run(xmodal_scores.main, capsys, trained).code == 0


def test_an_empty_split_is_refused(trained, capsys):
    features = trained / "features"
    clips = {s: read_clips(features / "audio_info.pkl", s, "") for s in ("development", "validation")}
    write_audio_info(features / "audio_info.pkl", clips | {"evaluation": []}, {})
    assert "split 'evaluation' is empty; add clips" in error_of(run(xmodal_scores.main, capsys, trained))
    write_text_table(features / "evaluation_text.csv", [])
    assert "evaluation_text.csv: holds no captions" in error_of(run(xmodal_scores.main, capsys, trained))


def test_a_missing_features_folder_is_refused(trained, capsys):
    shutil.rmtree(trained / "features")
    message = error_of(run(xmodal_scores.main, capsys, trained))
    assert "features/evaluation_text.csv: no such file; write it: " in message
    assert " -m preprocessing.clotho_dataset --conf " in message


def test_a_missing_caption_vector_is_refused(trained, capsys):
    path = trained / "features" / "evaluation_text.csv"
    captions = read_text_table(path, "")
    write_text_table(path, [captions[0]._replace(tid="new"), *captions[1:]])
    message = error_of(run(xmodal_scores.main, capsys, trained))
    repair = command_of(trained, "preprocessing.sbert_embeddings")
    assert f"no embedding for 1 of 8 captions, the first is tid new; add them: {repair}" in message


def test_weights_that_are_not_finite_name_a_clip_and_the_way_out(prepared, capsys):
    trial = write_trial(run_of(prepared, "training.epochs=1"))
    folder = trial / "checkpoint_000000"
    state = read_checkpoint(folder)
    state["model"]["dual_encoder.audio_encoder.fc_out.bias"][0] = float("nan")
    write_checkpoint(folder, state, {"mAP@10": 0.5}, Selection("mAP@10", "max"))
    message = error_of(run(xmodal_scores.main, capsys, prepared))
    assert "the embedding of 'evaluation 0.wav' holds nan; choose another one with --checkpoint" in message
    assert not (trial / "evaluation_xmodal_scores.hdf5").exists()


def test_a_small_disk_is_told_before_writing(trained, capsys, monkeypatch):
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 100))
    assert "needs 0 MB, 0 MB are free; free some space" in error_of(run(xmodal_scores.main, capsys, trained))


def test_a_disk_that_fills_up_leaves_the_earlier_scores(trained, capsys, monkeypatch):
    path = trained / "runs" / "tiny" / "evaluation_xmodal_scores.hdf5"
    run(xmodal_scores.main, capsys, trained)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(xmodal_scores, "write_scores", full)
    assert "the disk is full; free some space, then run again" in error_of(run(xmodal_scores.main, capsys, trained))
    assert path.read_bytes() == before
