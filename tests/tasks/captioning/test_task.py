"""Captioning through the project's own loop: what learns, what is measured, what is in a checkpoint."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.training import StoppedError, differences, fit_of, keep_checkpoints, reports_of
from utils.config_utils import to_mapping
from utils.model_utils import load_weights, read_checkpoint, weights_of

BY_HEART = ["training.epochs=500", "training.sample_clips=0", "training.batch_size=8", "optimizer.lr=0.02"]


def outputs_of(task, split):
    task.model().eval()
    with torch.inference_mode():
        return task.outputs(split)


def captions_of(task, split):
    data = task.data(split)
    task.model().eval()
    return task.captions(data, np.arange(len(data.clips)))


def test_a_run_learns_its_captions_by_heart_and_says_none_of_other_inputs(made):
    """Every training caption exactly, by greedy generation; with another clip's frames that clip's."""
    fit = fit_of(made.run(*BY_HEART))
    metrics = reports_of(fit)[-1]
    assert metrics["train_loss"] < 0.2
    data = fit._task.data("train")
    said = captions_of(fit._task, "train")
    assert said == [references[0] for references in data.references]
    data.frames.views.places[:] = [*data.frames.views.places[1:], data.frames.views.places[0]]
    data.frames.lengths = np.roll(data.frames.lengths, -1)
    shuffled = captions_of(fit._task, "train")
    assert not any(one == references[0] for one, references in zip(shuffled, data.references, strict=True))


def test_losses_are_means_over_tokens(made):
    """By hand: one clip at a time, the whole language model, log-probabilities of the caption's tokens."""
    run = made.run("training.epochs=1", "training.batch_size=3", "optimizer.lr=1e-12", "training.sample_clips=0")
    fit = fit_of(run)
    task, split = fit._task, fit._task.data("train")
    network, adapter = task.language.network, task.captioner.adapter.eval()
    losses = []
    for caption, clip in zip(split.captions, split.clip_of_caption, strict=True):
        frames = torch.from_numpy(np.array(split.frames.views[clip][:], np.float32))[None]
        tokens, _ = adapter(frames, torch.tensor([frames.shape[1]]))
        ids = torch.tensor(task.language.caption_ids(caption.raw_text))
        inputs = torch.cat([tokens[0], task.language.embeddings[ids[:-1]]])
        logits = network(inputs_embeds=inputs[None]).logits[0, tokens.shape[1] - 1 :]
        losses.append(F.cross_entropy(logits, ids, reduction="none").detach())
    by_hand = torch.cat(losses).mean().item()
    assert reports_of(fit)[0]["train_loss"] == pytest.approx(by_hand, rel=1e-4)
    outputs = outputs_of(task, "train")
    assert outputs.tokens == sum(map(len, losses))
    assert task.metrics(outputs)["val_loss"] == pytest.approx(by_hand, rel=1e-4)


def test_the_gradient_of_a_step_is_that_of_the_mean_over_its_tokens(made):
    task = made.run().build()
    split = task.data("train")
    (batch,) = split.pairs(8)
    task.losses(batch)["loss"].backward()
    found = [p.grad.clone() for p in task.model().parameters() if p.requires_grad]
    task.model().zero_grad()
    total, tokens = task.captioner.losses(batch["frames"], batch["lengths"], batch["ids"], batch["id_lengths"])
    (total / batch["id_lengths"].sum()).backward()
    assert int(tokens) == int(batch["id_lengths"].sum())
    for one, other in zip(found, (p.grad for p in task.model().parameters() if p.requires_grad), strict=True):
        torch.testing.assert_close(one, other)


def test_only_the_adapter_learns_and_is_saved(made, tmp_path):
    run = made.run()
    fit = fit_of(run)
    frozen = {key: value.clone() for key, value in fit._task.language.network.state_dict().items()}
    fit.run(keep_checkpoints(tmp_path / "t"), to_mapping(run))
    folder = tmp_path / "t" / "checkpoint_000001"
    state = read_checkpoint(folder)
    assert all(key.startswith("adapter.") for key in state["model"])
    (network,) = state["frozen"].values()
    assert network["source"] == str(made.folder / "language")
    after = fit._task.language.network.state_dict()
    assert all(torch.equal(frozen[key], after[key]) for key in frozen)
    assert not fit._task.language.network.training
    restored = run.build("eval")
    load_weights(restored.model(), weights_of(state, folder), folder)
    assert captions_of(restored, "eval") == captions_of(fit._task, "eval")


def test_a_resumed_run_equals_an_uninterrupted_one(made, tmp_path):
    run = made.run("training.epochs=3")
    whole, first, second = fit_of(run), fit_of(made.run("training.epochs=3")), fit_of(run)
    whole.run(keep_checkpoints(tmp_path / "w"), {})
    with pytest.raises(StoppedError):
        first.run(keep_checkpoints(tmp_path / "r", stop_after=1), {})
    second.restore([tmp_path / "r" / "checkpoint_000000"])
    second.run(keep_checkpoints(tmp_path / "r"), {})
    assert differences(whole.state({}), second.state({})) == []


def test_what_an_adapter_costs_is_reported(sounds):
    """A clip of T frames has ceil(T / 3) tokens and two of the prompt; 3 x 16 inputs a token, a hidden layer of 8."""
    adapter = "{name: ConcatenationAdapter, frames_per_token: 3, hidden_dim: 8, prompt_tokens: 2}"
    fit = fit_of(sounds.run(f"model.adapter={adapter}", "training.epochs=1"))
    (metrics,) = reports_of(fit)
    frames = fit._task.data("val").frames
    tokens = sorted(-(-int(length) // 3) + 2 for length in frames.lengths)
    assert (metrics["input_tokens"], metrics["longest_input_tokens"]) == (tokens[(len(tokens) - 1) // 2], tokens[-1])
    width, hidden = frames.width, fit._task.language.hidden_size
    layers = 3 * width * 8 + 8 + 8 * hidden + hidden
    assert metrics["trainable_parameters"] == layers + hidden + 2 * hidden  # and the gain, and the learned prompt
    assert metrics["step_s"] == metrics["train_s"] / 2  # 8 captions, 4 a batch


def test_the_sample_shows_the_use_of_the_input(made, capsys):
    run = made.run("training.sample_every=2", "training.epochs=2")
    first, second = reports_of(fit_of(run))
    assert "CIDEr-D" not in first
    assert second["use_of_input"] <= second["CIDEr-D"]
