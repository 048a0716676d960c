"""The captioner: what it predicts, what learns, and that planted faults do not go unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import models.captioner
from models.captioner import IGNORED, Captioner, Joined
from models.frozen.language import load_frozen_language
from models.generation import GenerationSpec, generate
from tests.models.captioners import Pairs, captioner_of, overfit, pairs_of, sixteen_pairs
from tests.tiny_language import write_llama, write_qwen3
from utils.cli_utils import ConfigError
from utils.model_utils.frozen_weights import frozen_names, weights_to_save

GREEDY = GenerationSpec(max_new_tokens=8)


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Qwen3."""
    return write_qwen3(tmp_path_factory.mktemp("models") / "qwen3")


@pytest.fixture
def captioner(qwen3: Path) -> Captioner:
    """With an untrained adapter, and a prompt on both sides of the input."""
    return captioner_of(qwen3, "a {input} then").eval()


def written(captioner: Captioner, pairs: Pairs) -> list[str]:
    return generate(captioner, pairs.frames, pairs.lengths, GREEDY)


@pytest.mark.parametrize(("prompt", "chat"), [("", False), ("rain {input} and", False), ("once", True)])
def test_sixteen_captions_are_learnt_to_the_word_and_only_with_their_own_input(qwen3, prompt, chat):
    captioner = captioner_of(qwen3, prompt, chat)
    pairs = sixteen_pairs(captioner.language)
    overfit(captioner, pairs)
    assert written(captioner, pairs) == pairs.captions
    other = torch.roll(torch.arange(16), 5)
    shuffled = generate(captioner, pairs.frames[other], pairs.lengths[other], GREEDY)
    assert not any(text == caption for text, caption in zip(shuffled, pairs.captions, strict=True))


def test_a_llama_learns_them_too(tmp_path):
    captioner = captioner_of(write_llama(tmp_path / "llama", initializer_range=0.3))
    pairs = sixteen_pairs(captioner.language)
    overfit(captioner, pairs)
    assert written(captioner, pairs) == pairs.captions


def plant_no_end(monkeypatch):
    honest = models.captioner._labels

    def without_end(ids, id_lengths, length):
        labels = honest(ids, id_lengths, length)
        return torch.where(labels == ids.gather(1, id_lengths[:, None] - 1), IGNORED, labels)

    monkeypatch.setattr(models.captioner, "_labels", without_end)


def plant_double_shift(monkeypatch):
    honest = models.captioner._labels

    def shifted(ids, id_lengths, length):
        labels = honest(ids, id_lengths, length)
        return F.pad(labels[:, 1:], (0, 1), value=IGNORED)

    monkeypatch.setattr(models.captioner, "_labels", shifted)


def plant_no_mask(monkeypatch):
    honest = Captioner.join
    monkeypatch.setattr(
        Captioner, "join", lambda *args: (joined := honest(*args))._replace(mask=torch.ones_like(joined.mask))
    )


def plant_padding_on_the_right(monkeypatch):
    """In generation alone, as a tokenizer that pads on the right would."""
    honest = Captioner.join

    def joined_of(self, tokens, counts, ids=None, id_lengths=None):
        joined = honest(self, tokens, counts, ids, id_lengths)
        if ids is not None:
            return joined
        order = torch.sort(joined.mask, dim=1, descending=True, stable=True).indices
        embeddings = joined.embeddings.gather(1, order[:, :, None].expand_as(joined.embeddings))
        return joined._replace(embeddings=embeddings, mask=joined.mask.gather(1, order))

    monkeypatch.setattr(Captioner, "join", joined_of)


FAULTS = [plant_no_end, plant_double_shift, plant_no_mask, plant_padding_on_the_right]


@pytest.mark.parametrize("plant", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_planted_faults_are_seen_in_the_captions(qwen3, plant, monkeypatch):
    captioner = captioner_of(qwen3)
    pairs = sixteen_pairs(captioner.language)
    with monkeypatch.context() as patch:
        if plant is not plant_no_mask:
            plant(patch)
        overfit(captioner, pairs)
    with monkeypatch.context() as patch:
        if plant in (plant_no_mask, plant_padding_on_the_right):
            plant(patch)
        assert written(captioner, pairs) != pairs.captions


def test_the_loss_is_the_sum_over_tokens_of_a_plain_forward_pass(captioner):
    pairs = sixteen_pairs(captioner.language)
    total, count = captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
    assert count == pairs.id_lengths.sum()
    network, embed = captioner.language_model, captioner.language_model.get_input_embeddings()
    expected = 0.0
    for row in range(16):  # one at a time, without padding, whole logits
        frames, ids = pairs.frames[row : row + 1, : pairs.lengths[row]], pairs.ids[row, : pairs.id_lengths[row]]
        tokens, _ = captioner.adapter(frames, pairs.lengths[row : row + 1])
        whole = torch.cat([embed(captioner.before), tokens[0], embed(captioner.after), embed(ids)])[None]
        logits = network(inputs_embeds=whole).logits[0]
        start = whole.shape[1] - len(ids)
        expected += F.cross_entropy(logits[start - 1 : -1], ids, reduction="sum").item()
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_sums_and_counts_of_two_batches_give_the_mean_over_all_tokens(captioner):
    pairs = sixteen_pairs(captioner.language)
    whole, tokens = captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
    found = [
        captioner.losses(pairs.frames[rows], pairs.lengths[rows], pairs.ids[rows], pairs.id_lengths[rows])
        for rows in (slice(0, 5), slice(5, 16))
    ]
    assert sum(total.item() for total, _ in found) / sum(int(n) for _, n in found) == pytest.approx(
        (whole / tokens).item(), rel=1e-5
    )


def test_labels_are_the_caption_and_its_end_and_nothing_else(captioner):
    pairs = pairs_of(captioner.language, torch.zeros(2, 3, 6), torch.tensor([3, 1]), ["dog barks", "rain"])
    joined = captioner.join(*captioner.adapter(pairs.frames, pairs.lengths), pairs.ids, pairs.id_lengths)
    dog, barks, end = pairs.ids[0].tolist()
    rain = pairs.ids[1, 0].item()
    # a, three tokens, then | dog, barks; the last token of the prompt predicts the first word
    assert joined.labels[0].tolist() == [*[IGNORED] * 4, dog, barks, end]
    assert joined.labels[1].tolist() == [*[IGNORED] * 5, rain, end]
    assert joined.mask.tolist() == [[1] * 7, [0] * 3 + [1] * 4]
    assert joined.positions[1].tolist() == [0, 0, 0, 0, 1, 2, 3]


def test_a_later_token_leaves_earlier_logits_unchanged(captioner):
    pairs = sixteen_pairs(captioner.language)
    tokens = captioner.adapter(pairs.frames[3:4], pairs.lengths[3:4])
    ids, lengths = pairs.ids[3:4, :5], torch.tensor([5])
    changed = ids.clone()
    changed[0, 2] = 7
    before, _ = captioner.caption_logits(captioner.join(*tokens, ids, lengths))
    after, _ = captioner.caption_logits(captioner.join(*tokens, changed, lengths))
    torch.testing.assert_close(before[:3], after[:3])
    assert (before[3] - after[3]).abs().max() > 1e-2


def test_a_step_changes_the_adapter_and_not_one_bit_of_the_language_model(captioner):
    before = {name: value.clone() for name, value in captioner.state_dict().items()}
    overfit(captioner.train(), sixteen_pairs(captioner.language), steps=1)
    assert not captioner.train().language_model.training
    for name, value in captioner.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("language_model."), name
    assert all(parameter.grad is None for parameter in captioner.language_model.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in captioner.adapter.parameters())


def test_a_clip_has_the_same_loss_alone_and_in_a_batch_whatever_its_padding_holds(captioner):
    pairs = sixteen_pairs(captioner.language)
    frames = pairs.frames.masked_fill(torch.arange(7)[None, :, None] >= pairs.lengths[:, None, None], 1e4)
    alone = [
        captioner.losses(pairs.frames[row : row + 1], pairs.lengths[row : row + 1], pairs.ids[row : row + 1],
                         pairs.id_lengths[row : row + 1])[0].item()
        for row in range(16)
    ]  # fmt: skip
    together, _ = captioner.losses(frames, pairs.lengths, pairs.ids, pairs.id_lengths)
    assert together.item() == pytest.approx(sum(alone), rel=1e-5)


def test_more_tokens_than_the_context_are_refused(tmp_path):
    captioner = captioner_of(write_qwen3(tmp_path / "short", max_position_embeddings=8), "a bell {input} then")
    pairs = sixteen_pairs(captioner.language)
    with pytest.raises(ConfigError, match=r"15 tokens, .*short takes 8; choose an adapter of fewer tokens"):
        captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
    with pytest.raises(ConfigError, match="choose an adapter of fewer tokens"):
        written(captioner, pairs)


def test_input_tokens_counts_the_prompt(captioner):
    joined: Joined = captioner.join(*captioner.adapter(torch.zeros(1, 4, 6), torch.tensor([4])))
    assert captioner.input_tokens(4) == joined.mask.sum() == 6


def test_in_bfloat16_the_adapter_stays_float32_and_logits_are_float32(qwen3, captioner):
    language = load_frozen_language(str(qwen3), dtype=torch.bfloat16)
    half = Captioner(captioner.adapter, language, "a {input} then")
    pairs = sixteen_pairs(language)
    joined = half.join(*half.adapter(pairs.frames, pairs.lengths), pairs.ids, pairs.id_lengths)
    assert joined.embeddings.dtype == torch.bfloat16
    assert half.caption_logits(joined)[0].dtype == torch.float32
    half.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)[0].backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in half.adapter.parameters())


def test_gradients_through_a_padded_batch_are_those_of_its_clips_alone(captioner):
    pairs = sixteen_pairs(captioner.language)
    captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)[0].backward()
    weight = captioner.adapter.layers[0].weight
    together = weight.grad.clone()
    captioner.zero_grad()
    for row in range(16):
        one = slice(row, row + 1)
        captioner.losses(
            pairs.frames[one, : pairs.lengths[row]], pairs.lengths[one], pairs.ids[one], pairs.id_lengths[one]
        )[0].backward()
    torch.testing.assert_close(weight.grad, together, rtol=1e-3, atol=1e-3 * together.abs().max().item())


def test_checkpoints_hold_the_adapter_and_of_the_language_model_its_name(captioner):
    frozen = frozen_names(captioner)
    assert frozen == {"language_model": captioner.language.name}
    assert all(name.startswith("adapter.") for name in weights_to_save(captioner, frozen))


@pytest.mark.parametrize(
    ("prompt", "chat", "prompt_tokens"), [("rain {input} and", False, 0), ("", False, 3), ("once", True, 2)]
)
def test_a_beginning_that_all_clips_share_is_read_once_and_changes_no_loss_and_no_gradient(
    qwen3, prompt, chat, prompt_tokens, monkeypatch
):
    captioner = captioner_of(qwen3, prompt, chat, prompt_tokens=prompt_tokens)
    pairs = sixteen_pairs(captioner.language)  # clips of several lengths: with padding

    def loss_and_gradients() -> tuple[torch.Tensor, list[torch.Tensor]]:
        total, _ = captioner.losses(pairs.frames, pairs.lengths, pairs.ids, pairs.id_lengths)
        return total, list(torch.autograd.grad(total, [*captioner.adapter.parameters()]))

    total, gradients = loss_and_gradients()
    assert captioner.shared_tokens > 0
    monkeypatch.setattr(Captioner, "shared_tokens", 0)  # every clip reads all its tokens
    expected, expected_gradients = loss_and_gradients()
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-3, atol=1e-4)
