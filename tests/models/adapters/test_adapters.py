"""What every adapter promises: padding is ignored, lengths are exact, nothing is dropped, the LLM's scale."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.adapters import AdapterSpec, TrainingClips
from tests.models.adapters.adapters import HIDDEN, IN_DIM, SCALE, SETTINGS, batch, build, clips, every_adapter
from utils.cli_utils import ConfigError
from utils.config_utils import parse, to_mapping

every_prompt = pytest.mark.parametrize("prompt_tokens", [0, 2])


@every_adapter
@every_prompt
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 17), min_size=1, max_size=4),
    extra=st.integers(0, 5),
    filling=st.sampled_from([0.0, 1e6, float("nan"), float("inf")]),
)
def test_a_clips_tokens_are_the_same_alone_and_in_any_batch(key, prompt_tokens, lengths, extra, filling):
    adapter = build(key, prompt_tokens=prompt_tokens)
    frames = clips(lengths, seed=sum(lengths))
    tokens, counts = adapter(*batch(frames, filling, extra))
    assert tokens.dtype == torch.float32
    assert tokens.shape == (len(frames), adapter.token_count(max(lengths) + extra), HIDDEN)
    for clip, row, count in zip(frames, tokens, counts.tolist(), strict=True):
        alone, own = adapter(*batch([clip]))
        assert count == own.item() == alone.shape[1] == adapter.token_count(len(clip)) >= 1 + prompt_tokens
        torch.testing.assert_close(row[:count], alone[0], rtol=1e-5, atol=1e-6)
        assert not row[count:].any()


@every_adapter
@every_prompt
def test_counts_of_many_clips_are_those_of_each(key, prompt_tokens):
    adapter = build(key, prompt_tokens=prompt_tokens)
    lengths = torch.arange(1, 40)
    assert adapter.token_count(lengths).tolist() == [adapter.token_count(int(length)) for length in lengths]
    assert (adapter.token_count(lengths).diff() >= 0).all()


@every_adapter
def test_every_frame_counts(key):
    adapter = build(key)
    [clip] = clips([13])
    before, _ = adapter(*batch([clip]))
    for position in range(13):
        changed = clip.clone()
        changed[position] += 1
        after, _ = adapter(*batch([changed]))
        assert (after - before).abs().max() > 1e-4, f"frame {position} changes nothing"


@every_adapter
def test_the_first_outputs_have_the_scale_of_the_llm(key):
    adapter = build(key, prompt_tokens=500)
    for size in (0.01, 1.0, 100.0):
        tokens, counts = adapter(*batch([size * clip for clip in clips([9, 17])]))
        own = torch.cat([row[500:count] for row, count in zip(tokens, counts, strict=True)])
        assert own.square().mean().sqrt().item() == pytest.approx(SCALE, rel=0.05)
    assert tokens[:, :500].square().mean().sqrt().item() == pytest.approx(SCALE, rel=0.05)


@every_adapter
def test_gradients_reach_every_parameter(key):
    adapter = build(key, prompt_tokens=2).train()
    tokens, _ = adapter(*batch(clips([5, 17, 9])))
    (tokens * torch.randn(tokens.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    for name, parameter in adapter.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
        assert parameter.grad.isfinite().all(), name


@every_adapter
def test_prompt_tokens_are_the_same_for_all_clips_and_come_first(key):
    adapter = build(key, prompt_tokens=2)
    tokens, counts = adapter(*batch(clips([5, 17])))
    assert torch.equal(tokens[0, :2], tokens[1, :2])
    assert torch.equal(tokens[0, :2], adapter.prompt)
    adapter.prompt, adapter.prompt_tokens = None, 0
    without, fewer = adapter(*batch(clips([5, 17])))
    assert torch.equal(tokens[:, 2:], without)
    assert torch.equal(counts, fewer + 2)


@every_adapter
def test_frames_are_standardised_by_the_training_clips(key):
    shifted = [clip * torch.arange(1.0, IN_DIM + 1) + 100 for clip in clips([7, 30, 12])]
    adapter = build(key, standardise=True)
    assert adapter.fitted_on in ("frames", "captions")
    captions = torch.randn(3, HIDDEN, generator=torch.Generator().manual_seed(2))
    adapter.fit(
        [
            TrainingClips(*batch(shifted[:2], float("nan")), captions[:2]),
            TrainingClips(*batch(shifted[2:]), captions[2:]),
        ]
    )
    pooled = torch.cat(shifted)
    found = adapter.preparation.standardisation
    torch.testing.assert_close(found.mean, pooled.mean(0))
    torch.testing.assert_close(found.deviation, pooled.std(0, correction=0))
    restored = build(key, seed=1, standardise=True)
    restored.load_state_dict(adapter.state_dict())
    assert torch.equal(restored(*batch(shifted))[0], adapter(*batch(shifted))[0])


@every_adapter
def test_noise_acts_in_training_alone(key):
    adapter = build(key, noise=0.5)
    frames = batch(clips([9]))
    assert torch.equal(adapter(*frames)[0], adapter(*frames)[0])
    adapter.train()
    assert not torch.equal(adapter(*frames)[0], adapter(*frames)[0])


@every_adapter
def test_low_precision_is_close_to_full_precision(key):
    adapter = build(key)
    frames = batch(clips([9, 17]))
    full, _ = adapter(*frames)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, _ = adapter(*frames)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, full, rtol=0.1, atol=0.1 * SCALE)


@every_adapter
def test_what_does_not_fit_is_refused(key):
    frames, lengths = batch(clips([5, 3]))
    adapter = build(key)
    with pytest.raises(ValueError, match=rf"frames are \(2, 5, 4\), expected \(B, T, {IN_DIM}\)"):
        adapter(frames[:, :, :4], lengths)
    with pytest.raises(ValueError, match=r"a clip has 0 frames, expected 1 to 5"):
        adapter(frames, torch.tensor([5, 0]))


@every_adapter
def test_a_spec_is_the_same_after_a_round_trip(key):
    spec = parse(SETTINGS[key], AdapterSpec, "conf.yaml")
    assert parse(to_mapping(spec), AdapterSpec, "conf.yaml") == spec


def test_every_choice_is_tested():
    names = {spec["name"] for spec in SETTINGS.values()}
    with pytest.raises(ConfigError, match="unknown name 'Conv2dAdapter'; choices: ") as error:
        parse({"name": "Conv2dAdapter"}, AdapterSpec, "conf.yaml")
    choices = str(error.value).partition("choices: ")[2]
    assert {choice.strip("' ") for choice in choices.split(",")} == names
