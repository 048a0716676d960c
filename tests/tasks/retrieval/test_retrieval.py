import itertools
import math

import numpy as np
import pytest
import torch

from tasks import parse_run
from tests import tiny_models
from tests.training import fit_of, keep_checkpoints, reports_of, run_of, write_trial
from utils.cli_utils import UserError
from utils.config_utils import to_mapping
from utils.model_utils import read_checkpoint

SHORT = ("data.max_duration_s=0.25", "training.batch_size=3")  # most clips are longer


def outputs_of(task, split="val"):
    task.model().eval()
    with torch.inference_mode():
        return task.outputs(split)


def task_of(prepared, *settings):
    return run_of(prepared, *settings).build()


@pytest.mark.parametrize("out_norm", ["L2", "none"])
def test_long_clips_are_the_mean_over_their_windows(out_norm, prepared):
    task = task_of(prepared, *SHORT, f"model.out_norm={out_norm}")
    data = task.data("val")
    outputs = outputs_of(task)
    limit = round(0.25 / 0.02) + 1  # frames of 20 ms, and one more as both ends count
    assert max(data.audio.lengths) > 2 * limit
    for number, fid in enumerate(outputs.fids):
        features = torch.from_numpy(np.array(data.audio.views[data.fids.index(fid)][:]))
        windows = math.ceil(len(features) / data.audio.max_length)
        edges = [round(n * len(features) / windows) for n in range(windows + 1)]
        with torch.inference_mode():
            parts = [
                task.dual_encoder.embed_audio(features[None, a:b], torch.tensor([b - a]))[0]
                for a, b in itertools.pairwise(edges)
            ]
        mean = torch.stack(parts).mean(0)
        expected = mean / mean.norm() if out_norm == "L2" else mean
        np.testing.assert_allclose(outputs.audio[number], expected, atol=1e-5)
    assert abs(data.audio.max_length - limit) <= 1


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_embed_clip_equals_outputs(similarity, prepared):
    task = task_of(prepared, *SHORT, f"criterion.similarity={similarity}", "model.out_norm=none")
    outputs, data = outputs_of(task), task.data("val")
    for row, view in zip(outputs.audio, data.audio.views, strict=True):
        with torch.inference_mode():
            np.testing.assert_allclose(task.embedder.features(np.array(view[:])), row, atol=1e-5)


def test_outputs_hold_every_clip_and_caption_once_in_table_order(prepared):
    task = task_of(prepared)
    outputs, data = outputs_of(task), task.data("val")
    assert outputs.audio.shape == (4, 8)
    assert outputs.text.shape == (8, 8)
    assert outputs.fids == [clip.fid for clip in data.clips]
    assert outputs.tids == [caption.tid for caption in data.captions]
    assert [outputs.fids[clip] for clip in outputs.clip_of_caption] == [caption.fid for caption in data.captions]
    np.testing.assert_allclose(np.linalg.norm(outputs.audio, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(outputs.text, axis=1), 1, atol=1e-6)


def test_outputs_do_not_depend_on_the_batch_size(prepared):
    one = outputs_of(task_of(prepared, *SHORT))
    two = outputs_of(task_of(prepared, SHORT[0], "training.batch_size=64"))
    np.testing.assert_allclose(one.audio, two.audio, atol=1e-5)


def test_split_by_role_and_by_name_is_opened_once(prepared):
    task = task_of(prepared)
    assert task.data("val") is task.data("validation")
    assert task.data("train") is not task.data("eval")


def test_same_seed_same_weights(prepared):
    states = [task_of(prepared, f"training.seed={seed}").model().state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def trained_state(prepared, tmp_path, *settings):
    """The model's tensors before and after two epochs."""
    run = run_of(prepared, "optimizer={name: AdamW, lr: 0.01, weight_decay: 0.1}", *settings)
    fit = fit_of(run)
    before = {key: value.clone() for key, value in fit.model.state_dict().items()}
    fit.run(keep_checkpoints(tmp_path / "t"), to_mapping(run))
    return before, read_checkpoint(tmp_path / "t" / "checkpoint_000001")["model"]


def moved(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_audio_encoder_held_still_but_for_its_last_layer(prepared, tmp_path):
    before, after = trained_state(prepared, tmp_path, "model.audio_encoder.trainable=false")
    audio = {key for key in moved(before, after) if "audio_encoder" in key}
    assert audio == {f"dual_encoder.audio_encoder.fc_out.{name}" for name in ("weight", "bias")}
    assert any("text_encoder" in key for key in moved(before, after))


def test_frozen_blocks_do_not_move(prepared, tmp_path):
    before, after = trained_state(prepared, tmp_path, "model.audio_encoder.freeze_blocks=2")
    frozen = [f"dual_encoder.audio_encoder.{part}." for part in ("bn0", "conv_block1", "conv_block2")]
    assert {key for key in moved(before, after) if key.startswith(tuple(frozen))} == set()
    assert any("conv_block3" in key for key in moved(before, after))
    assert any("running_mean" in key for key in moved(before, after))  # of the blocks that learn


def test_everything_learns_by_default(prepared, tmp_path):
    before, after = trained_state(prepared, tmp_path)
    assert moved(before, after) == set(before)


def test_no_caption_is_part_of_the_checkpoint(prepared, tmp_path):
    _, after = trained_state(prepared, tmp_path)
    text = {key: tuple(value.shape) for key, value in after.items() if "audio_encoder" not in key}
    assert set(text.values()) == {(8, 16), (8,)}  # one linear layer, 16 -> 8; no row a caption
    checkpoint = (tmp_path / "t" / "checkpoint_000001" / "checkpoint.pt").read_bytes()
    tids = [caption.tid for caption in task_of(prepared).data("train").captions]
    assert not any(tid.encode() in checkpoint for tid in tids)


def test_learnable_temperature_learns(prepared, tmp_path):
    before, after = trained_state(prepared, tmp_path, "criterion.learnable_temperature=true")
    key = "criterion.log_scale"
    assert before[key].item() == pytest.approx(-math.log(0.07))
    assert before[key] != after[key]


def test_fixed_temperature_is_no_parameter(prepared, tmp_path):
    before, _ = trained_state(prepared, tmp_path)
    assert not any("log_scale" in key for key in before)


def test_training_lowers_the_loss(prepared):
    run = run_of(prepared, "training.epochs=30", "optimizer.lr=0.01", "data.max_duration_s=30")
    losses = [report["train_loss"] for report in reports_of(fit_of(run))]
    assert losses[-1] < 0.75 * losses[0]


def test_metrics_have_both_directions_and_the_loss(prepared):
    task = task_of(prepared, "training.batch_size=8", "criterion.temperature=1.0")
    outputs = outputs_of(task)
    metrics = task.metrics(outputs)
    t2a = {"R@1", "R@5", "R@10", "mAP@10", "mAP@16", "median_rank"}
    hits = {"hit@1", "hit@5", "hit@10"}
    assert set(metrics) == t2a | {f"a2t_{key}" for key in t2a | hits} | {"val_loss"}
    # InfoNCE of the 8 captions, captions of the same clip left out, both directions
    audio = outputs.audio[outputs.clip_of_caption].astype(np.float64)
    logits = audio @ outputs.text.T.astype(np.float64)
    same = (outputs.clip_of_caption[:, None] == outputs.clip_of_caption) & ~np.eye(8, dtype=bool)
    logits[same] = -np.inf
    rows = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    columns = np.log(np.exp(logits).sum(0)) - np.diag(logits)
    assert metrics["val_loss"] == pytest.approx((rows + columns).mean(), rel=1e-5)


@pytest.mark.parametrize(("side", "row"), [("text", 3), ("audio", 2)])
def test_an_embedding_that_is_not_finite_is_named(side, row, prepared):
    task = task_of(prepared)
    outputs = outputs_of(task)
    getattr(outputs, side)[row, 0] = np.nan
    named = outputs.tids[3] if side == "text" else outputs.fids[2]
    with pytest.raises(UserError, match=rf"embedding of {named} holds nan: training has diverged; lower optimizer\.lr"):
        task.metrics(outputs)


def test_a_written_trial_restores_to_the_same_outputs(prepared):
    run = run_of(prepared)
    trial = write_trial(run)
    fit = fit_of(run)
    fit.run(lambda metrics, save: None, {})
    task = run.build()
    task.model().load_state_dict(read_checkpoint(trial / "checkpoint_000001")["model"])
    np.testing.assert_array_equal(outputs_of(task).audio, outputs_of(fit._task).audio)


def test_chance_is_that_of_an_order_at_random(prepared):
    run = run_of(prepared)
    chance = run.chance(run.build().data("val"))
    assert (chance["R@1"], chance["R@10"]) == (1 / 4, 1.0)  # 4 clips
    assert chance["mAP@10"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert "val_loss" not in chance


def test_an_encoder_on_waves_is_trained_into_the_space_of_the_text_vectors(prepared):
    """out_dim: null, as in conf.yaml: the width is known once the data are open, which need the network's rate."""
    model = {
        "name": "DualEncoderModel",
        "out_dim": None,
        "audio_encoder": {"name": "Wav2Vec2Encoder", "model": str(tiny_models.write_wav2vec2(prepared / "wav2vec2"))},
        "text_encoder": {"name": "FrozenText"},
    }
    run = parse_run(to_mapping(run_of(prepared)) | {"model": model}, "x.yaml")
    task = run.build()
    width = task.data("train").texts.width
    assert task.dual_encoder.out_dim == task.dual_encoder.audio_encoder.fc_out.out_features == width
    fit_of(run).run(lambda metrics, save: None, {})
