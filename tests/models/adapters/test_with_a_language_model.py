"""Every adapter inside of a captioner: it learns through the frozen language model, and batches change no loss."""

import pytest
import torch

from models.adapters import AdapterSpec, TrainingClips
from models.captioner import Captioner
from models.frozen.language import load_frozen_language
from tests.models.adapters.adapters import SETTINGS, every_adapter
from tests.models.captioners import WIDTH, overfit, sixteen_pairs
from tests.tiny_language import write_qwen3
from utils.config_utils import parse


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    return load_frozen_language(str(write_qwen3(tmp_path_factory.mktemp("models") / "qwen3")))


def captioner_of(language, key, pairs, **keys):
    torch.manual_seed(0)
    spec = parse(SETTINGS[key] | keys, AdapterSpec, "adapter")
    adapter = spec.build(WIDTH, language.hidden_size, language.embedding_scale)
    adapter.fit([TrainingClips(pairs.frames, pairs.lengths, torch.randn(16, language.hidden_size))])
    return Captioner(adapter, language, "a {input} then")


@every_adapter
def test_an_adapter_learns_through_the_frozen_language_model(language, key):
    pairs = sixteen_pairs(language)
    first = overfit(captioner_of(language, key, pairs, prompt_tokens=2), pairs, steps=1)
    last = overfit(captioner_of(language, key, pairs, prompt_tokens=2), pairs, steps=60)
    # of the closed-form map the prompt tokens alone learn, which are the same for all clips
    assert last < first * (0.9 if key == "least-squares" else 0.5)


@every_adapter
def test_the_loss_of_a_batch_is_the_sum_over_its_clips(language, key):
    pairs = sixteen_pairs(language)
    captioner = captioner_of(language, key, pairs).eval()
    with torch.no_grad():
        whole, _ = captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
        rows = zip(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths, strict=True)
        alone = [captioner.losses(f[None, :n], n[None], i[None, :m], m[None])[0] for f, n, i, m in rows]
    torch.testing.assert_close(whole, torch.stack(alone).sum(), rtol=1e-5, atol=1e-4)
