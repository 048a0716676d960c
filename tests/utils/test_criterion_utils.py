from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from utils.cli_utils import ConfigError
from utils.config_utils import parse
from utils.criterion_utils import CriterionSpec, InfoNCE, InfoNCESpec, info_nce, similarity_logits

SIMILARITIES = ("dot", "cosine")
SAME_CLIP = ("mask", "positive")
REPEATED = [7, 3, 7, 5, 3, 7, 9, 1]  # clip 7 three times, clip 3 twice


def batch(clips: list[int] = REPEATED, dim: int = 6, dtype=torch.float64, seed=0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    audio, text = (torch.randn(len(clips), dim, generator=generator, dtype=dtype) for _ in range(2))
    return audio.requires_grad_(), text.requires_grad_(), torch.tensor(clips)


def loop(audio, text, clips, temperature, similarity, same_clip):
    """The definition, one anchor, one direction and one positive at a time."""
    similar = {"dot": lambda a, t: (a * t).sum(), "cosine": lambda a, t: F.cosine_similarity(a, t, dim=0)}
    total = 0.0
    for i in range(len(clips)):
        for direction in ("text to audio", "audio to text"):

            def score(j, i=i, direction=direction):
                pair = (audio[j], text[i]) if direction == "text to audio" else (audio[i], text[j])
                return similar[similarity](*pair) / temperature

            others = [j for j in range(len(clips)) if clips[j] != clips[i]]
            mates = [j for j in range(len(clips)) if clips[j] == clips[i]]
            if same_clip == "mask":
                positives, candidates = [i], [i, *others]
            else:
                positives, candidates = mates, mates + others
            denominator = sum(torch.exp(score(j)) for j in candidates)
            losses = [-torch.log(torch.exp(score(j)) / denominator) for j in positives]
            total = total + sum(losses) / len(losses)
    return total / len(clips)


@pytest.mark.parametrize("same_clip", SAME_CLIP)
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("clips", [REPEATED, list(range(8)), [4] * 5], ids=["repeated", "distinct", "one clip"])
def test_loss_and_gradients_equal_the_loop(similarity, same_clip, clips):
    audio, text, clip_ids = batch(clips)
    temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    inputs = (audio, text, temperature)
    ours = info_nce(audio, text, clip_ids, temperature=temperature, similarity=similarity, same_clip=same_clip)
    expected = loop(audio, text, clips, temperature, similarity, same_clip)
    assert ours.item() == pytest.approx(expected.item(), abs=1e-6)
    for found, wanted in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("same_clip", SAME_CLIP)
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_float32_at_a_low_temperature_equals_the_loop(similarity, same_clip):
    clips = [n % 13 for n in range(20)]
    audio, text, clip_ids = batch(clips, dim=30)
    audio, text = F.normalize(audio.detach()), F.normalize(text.detach())
    ours = info_nce(audio.float(), text.float(), clip_ids, temperature=0.07, similarity=similarity, same_clip=same_clip)
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(loop(audio, text, clips, 0.07, similarity, same_clip).item(), rel=1e-6)


def test_values_by_hand():
    # Two pairs, similarities [[2, 0], [0, 1]]: four cross entropies, each log(1 + e^-own).
    audio, text = torch.eye(2), torch.diag(torch.tensor([2.0, 1.0]))
    expected = (2 * math.log1p(math.exp(-2)) + 2 * math.log1p(math.exp(-1))) / 2
    assert info_nce(audio, text, torch.tensor([0, 1]), temperature=1.0).item() == pytest.approx(expected)
    # Halving the temperature doubles the logits.
    expected = (2 * math.log1p(math.exp(-4)) + 2 * math.log1p(math.exp(-2))) / 2
    assert info_nce(audio, text, torch.tensor([0, 1]), temperature=0.5).item() == pytest.approx(expected)


def test_equal_embeddings_give_the_logarithm_of_the_candidates():
    ones = torch.ones(4, 3)
    assert info_nce(ones, ones, torch.arange(4), temperature=0.07).item() == pytest.approx(2 * math.log(4))
    two_clips = torch.tensor([0, 0, 1, 1])  # own pair + the two of the other clip
    assert info_nce(ones, ones, two_clips, temperature=0.07).item() == pytest.approx(2 * math.log(3))
    positive = info_nce(ones, ones, two_clips, temperature=0.07, same_clip="positive")
    assert positive.item() == pytest.approx(2 * math.log(4))


@pytest.mark.parametrize("same_clip", SAME_CLIP)
def test_a_batch_of_one_is_zero_with_zero_gradients(same_clip):
    audio, text, clip_ids = batch([5])
    loss = info_nce(audio, text, clip_ids, temperature=0.07, same_clip=same_clip)
    loss.backward()
    assert loss.item() == 0
    assert not audio.grad.any()
    assert not text.grad.any()


def test_pairs_of_the_same_clip_are_masked_or_pulled_together():
    # With text = identity the audio matrix is the matrix of logits, and its gradient theirs.
    clip_ids = torch.tensor([0, 0, 1, 2])
    logits = torch.zeros(4, 4, requires_grad=True)
    (mask,) = torch.autograd.grad(info_nce(logits, torch.eye(4), clip_ids, temperature=1.0), logits)
    assert mask[0, 1] == mask[1, 0] == 0
    assert (mask[0, 2:] > 0).all()
    positive_loss = info_nce(logits, torch.eye(4), clip_ids, temperature=1.0, same_clip="positive")
    (positive,) = torch.autograd.grad(positive_loss, logits)
    assert positive[0, 1] == positive[0, 0] < 0
    assert (positive[0, 2:] > 0).all()


def test_both_forms_agree_without_repeated_clips():
    audio, text, clip_ids = batch(list(range(8)))
    mask, positive = (info_nce(audio, text, clip_ids, temperature=0.3, same_clip=form) for form in SAME_CLIP)
    assert mask.item() == pytest.approx(positive.item(), abs=1e-12)


def test_positive_form_is_bounded_by_the_number_of_positives():
    # Perfect embeddings: one orthogonal axis a clip. The mask reaches 0, the positives share the softmax.
    clip_ids = torch.tensor([0, 0, 1, 1, 2, 2])
    embeddings = 100 * F.one_hot(clip_ids).float()
    assert info_nce(embeddings, embeddings, clip_ids, temperature=1.0).item() == pytest.approx(0)
    positive = info_nce(embeddings, embeddings, clip_ids, temperature=1.0, same_clip="positive")
    assert positive.item() == pytest.approx(2 * math.log(2))


@settings(max_examples=30, deadline=None)
@given(
    clips=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    same_clip=st.sampled_from(SAME_CLIP),
    similarity=st.sampled_from(SIMILARITIES),
    seed=st.integers(0, 2**16),
)
def test_order_of_the_pairs_and_direction_change_nothing(clips, same_clip, similarity, seed):
    audio, text, clip_ids = batch(clips, seed=seed)
    options = {"temperature": 0.5, "similarity": similarity, "same_clip": same_clip}
    loss = info_nce(audio, text, clip_ids, **options)
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))
    shuffled = info_nce(audio[order], text[order], clip_ids[order], **options)
    assert shuffled.item() == pytest.approx(loss.item(), abs=1e-9)
    assert info_nce(text, audio, clip_ids, **options).item() == pytest.approx(loss.item(), abs=1e-9)
    assert loss.item() >= -1e-12


def test_cosine_is_torchs_also_for_a_zero_vector():
    audio, text, _ = batch()
    with torch.no_grad():
        audio[2] = 0.0
    expected = F.cosine_similarity(audio[:, None], text[None, :5], dim=2, eps=1e-8)
    torch.testing.assert_close(similarity_logits(audio, text[:5], "cosine"), expected)
    info_nce(audio, text, torch.arange(8), temperature=0.07, similarity="cosine").backward()
    assert audio.grad.isfinite().all()


def test_logits_are_rows_of_clips_and_columns_of_captions():
    audio = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    text = torch.tensor([[2.0, 5.0], [4.0, 7.0]])
    assert similarity_logits(audio, text).tolist() == [[2.0, 4.0], [15.0, 21.0]]


@pytest.mark.parametrize("same_clip", SAME_CLIP)
def test_autocast_does_not_round_the_logits(same_clip):
    audio, text, clip_ids = batch(dim=64, dtype=torch.float32)
    plain = info_nce(audio, text, clip_ids, temperature=0.07, same_clip=same_clip)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = info_nce(audio, text, clip_ids, temperature=0.07, same_clip=same_clip)
    assert cast.dtype == torch.float32
    assert cast.item() == plain.item()
    half = info_nce(audio.bfloat16(), text.bfloat16(), clip_ids, temperature=0.07, same_clip=same_clip)
    exact = info_nce(audio.bfloat16().float(), text.bfloat16().float(), clip_ids, temperature=0.07, same_clip=same_clip)
    assert half.item() == exact.item()


def test_large_logits_stay_finite():
    audio, text, clip_ids = batch(dtype=torch.float32)
    loss = info_nce(1000 * audio, 1000 * text, clip_ids, temperature=0.01)
    loss.backward()
    assert loss.isfinite()
    assert audio.grad.isfinite().all()


@pytest.mark.parametrize(
    ("audio", "text", "ids", "message"),
    [
        ((3, 4), (3, 5), 3, r"^audio is \(3, 4\), text is \(3, 5\); expected \(B, E\) for both$"),
        ((3, 4), (2, 4), 3, r"^audio is \(3, 4\), text is \(2, 4\); expected \(B, E\) for both$"),
        ((4,), (4,), 4, r"^audio is \(4,\), text is \(4,\); expected \(B, E\) for both$"),
        ((3, 4), (3, 4), 2, r"^clip_ids is \(2,\); expected \(3,\), one for each pair$"),
        ((0, 4), (0, 4), 0, r"^the batch is empty$"),
    ],
)
def test_shapes_that_do_not_match_are_refused(audio, text, ids, message):
    with pytest.raises(ValueError, match=message):
        info_nce(torch.zeros(audio), torch.zeros(text), torch.zeros(ids, dtype=torch.long), temperature=1.0)


@pytest.mark.parametrize("temperature", [0.0, -0.07, math.inf, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    message = rf"^temperature is {temperature}; expected a positive number$"
    with pytest.raises(ValueError, match=message):
        info_nce(*batch(), temperature=temperature)
    with pytest.raises(ValueError, match=message):
        InfoNCE(temperature=temperature)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match=r"^temperature is \(1,\); expected a 0-d tensor or a number$"):
        info_nce(*batch(), temperature=torch.ones(1))
    with pytest.raises(ValueError, match=r"^similarity is 'euclid'; choices: dot, cosine$"):
        info_nce(*batch(), temperature=1.0, similarity="euclid")
    with pytest.raises(ValueError, match=r"^same_clip is 'drop'; choices: mask, positive$"):
        info_nce(*batch(), temperature=1.0, same_clip="drop")


def test_fixed_module_is_the_function_and_has_no_state():
    criterion = InfoNCE(temperature=0.2, similarity="cosine", same_clip="positive")
    assert criterion.state_dict() == {}
    assert criterion.temperature == 0.2
    expected = info_nce(*batch(), temperature=0.2, similarity="cosine", same_clip="positive")
    assert criterion(*batch()).item() == expected.item()
    assert repr(criterion) == "InfoNCE(cosine, temperature=0.2 (fixed), same_clip=positive)"


def test_learnable_temperature_starts_at_its_initial_value_and_learns():
    criterion = InfoNCE(temperature=0.07, learnable_temperature=True)
    assert criterion.temperature == pytest.approx(0.07, rel=1e-6)
    assert list(criterion.state_dict()) == ["log_scale"]
    audio, text, clip_ids = batch(dtype=torch.float32)
    criterion(audio, text, clip_ids).backward()
    step = 1e-2  # the gradient equals a difference quotient of the pure function
    above, below = (
        info_nce(audio, text, clip_ids, temperature=0.07 * math.exp(-sign * step)).item() for sign in (1, -1)
    )
    assert criterion.log_scale.grad.item() == pytest.approx((above - below) / (2 * step), rel=1e-2)


def test_learnable_scale_is_held_at_100_and_can_come_down_again():
    criterion = InfoNCE(temperature=0.02, learnable_temperature=True)
    with torch.no_grad():
        criterion.log_scale.fill_(7.0)  # e^7 = 1097
    assert criterion.temperature == pytest.approx(0.01)
    audio, text, clip_ids = batch(dtype=torch.float32)  # random pairs: a lower scale is better
    loss = criterion(audio, text, clip_ids)
    assert loss.item() == pytest.approx(info_nce(audio, text, clip_ids, temperature=0.01).item(), rel=1e-5)
    loss.backward()
    assert criterion.log_scale.item() == pytest.approx(math.log(100))
    assert criterion.log_scale.grad.item() > 0
    torch.optim.SGD(criterion.parameters(), lr=1e-3).step()
    assert criterion.temperature > 0.01


def test_spec_builds_the_criterion_of_the_yaml():
    criterion = parse({"name": "InfoNCE"}, CriterionSpec, "conf.yaml").build()
    assert (criterion.temperature, criterion.similarity, criterion.same_clip) == (0.07, "dot", "mask")
    assert criterion.log_scale is None
    settings_ = {
        "name": "InfoNCE",
        "similarity": "cosine",
        "temperature": 0.5,
        "learnable_temperature": True,
        "same_clip": "positive",
    }
    criterion = parse(settings_, InfoNCESpec, "conf.yaml").build()
    assert criterion.temperature == pytest.approx(0.5)
    assert (criterion.similarity, criterion.same_clip) == ("cosine", "positive")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": 0}, "temperature: Input should be greater than 0 (got 0)"),
        ({"temperature": 101}, "temperature: Input should be less than or equal to 100 (got 101)"),
        ({"similarity": "dist"}, "similarity: Input should be 'dot' or 'cosine' (got 'dist')"),
        ({"same_clip": "drop"}, "same_clip: Input should be 'mask' or 'positive' (got 'drop')"),
        ({"temprature": 1}, "temprature: unknown key; did you mean 'temperature'?"),
        (
            {"temperature": 0.005, "learnable_temperature": True},
            "learnable_temperature: temperature is 0.005; expected at least 0.01 if it is learnable (got True)",
        ),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ConfigError) as error:
        parse({"name": "InfoNCE", **setting}, CriterionSpec, "conf.yaml")
    assert str(error.value) == f"conf.yaml: 1 bad key\n  {message}"
