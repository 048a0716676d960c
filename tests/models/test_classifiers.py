"""Classifiers of any audio encoder: logits, names in the state, what learns, learning rates by part."""

from pathlib import Path

import pytest
import torch

from models.class_criterion import CrossEntropySpec
from models.classifiers import Classifier, ClassifierSpec
from tests import tiny_models
from tests.models.backbones.test_backbones import clips, padded
from utils.cli_utils import ArtefactError
from utils.config_utils import parse
from utils.model_utils.checkpoints import load_weights, read_checkpoint, weights_of, write_checkpoint
from utils.model_utils.frozen_weights import SavedWeights
from utils.model_utils.optimisation import AdamWSpec

CLASSES = ("dog", 'Ümlaut, "quoted"', "雨")


def spec_of(**encoder) -> ClassifierSpec:
    return parse({"name": "Classifier", "audio_encoder": encoder}, ClassifierSpec, "model")


def speech(folder: Path, **keys) -> Classifier:
    torch.manual_seed(0)
    model = folder if folder.is_dir() else tiny_models.write_wav2vec2(folder)
    return spec_of(name="Wav2Vec2Encoder", model=str(model), **keys).build(CLASSES, 0)


def step(model: Classifier, groups: dict | None = None) -> torch.optim.Optimizer:
    """One step of training on four clips."""
    optimizer = AdamWSpec(name="AdamW", lr=1e-3, groups=groups or {}).build(model.named_parameters())
    criterion = CrossEntropySpec(name="CrossEntropy", mixup=0.4, label_smoothing=0.1).build(torch.tensor([2, 1, 1]))
    waves, lengths = padded(clips(16_000))
    mixed = criterion.mixed(waves, lengths)
    loss = criterion(model.train()(mixed.features, lengths), torch.tensor([0, 1, 2, 0]), mixed)
    loss.backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("keys", [{}, {"pooling": "statistics", "weighted_layers": True}, {"pooling": "attention"}])
def test_logits_are_those_of_a_clip_alone(tmp_path: Path, keys: dict):
    model = speech(tmp_path / "model", **keys).eval()
    waves, lengths = padded(clips(16_000))
    with torch.inference_mode():
        together = model(waves, lengths)
        assert together.shape == (4, 3)
        assert together.dtype == torch.float32
        for row, length in enumerate(lengths.tolist()):
            alone = model(waves[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(together[row], alone[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("encoder", "features"),
    [
        ({"name": "CNN10Encoder", "base_channels": 2}, (4, 40, 64)),
        ({"name": "AudioProjection", "standardise": True}, (4, 64)),
        ({"name": "MLPProjection", "hidden_dim": 8}, (4, 64)),
    ],
)
def test_any_audio_encoder_classifies(encoder: dict, features: tuple[int, ...]):
    model = spec_of(**encoder).build(CLASSES, 64)
    lengths = torch.full((4,), features[1] if len(features) == 3 else 1)
    assert model(torch.randn(features), lengths).shape == (4, 3)
    assert model.classes == CLASSES


def test_a_head_learns_classes_that_are_apart():
    torch.manual_seed(0)
    targets, centres = torch.arange(30) % 3, 2 * torch.eye(3, 8)
    vectors, lengths = centres[targets] + 0.3 * torch.randn(30, 8), torch.ones(30, dtype=torch.int64)
    model = spec_of(name="AudioProjection").build(CLASSES, 8)
    criterion = CrossEntropySpec(name="CrossEntropy", mixup=0.2, class_weights="balanced").build(targets.bincount())
    optimizer = AdamWSpec(name="AdamW", lr=5e-2).build(model.named_parameters())
    for _ in range(40):
        mixed = criterion.mixed(vectors, lengths)
        loss = criterion(model(mixed.features, lengths), targets, mixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(model(vectors, lengths).argmax(1), targets)
    criterion.eval()
    assert criterion.mixed(vectors, lengths) is None
    assert criterion(model(vectors, lengths), targets) < 0.2


def changed_by_training(model: Classifier) -> set[str]:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    step(model)
    return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


def test_frozen_only_pooling_weights_of_layers_and_head_learn(tmp_path: Path):
    model = speech(tmp_path / "model", trainable=False, pooling="statistics", weighted_layers=True)
    head = {"audio_encoder.layer_weights.logits", "audio_encoder.fc_out.weight", "audio_encoder.fc_out.bias"}
    assert changed_by_training(model) == head


def test_the_feature_encoder_is_frozen_or_everything_learns(tmp_path: Path):
    convolutions = "audio_encoder.backbone.network.feature_extractor."
    frozen = changed_by_training(speech(tmp_path / "model"))
    assert len(frozen) > 20
    assert not any(key.startswith(convolutions) for key in frozen)
    everything = changed_by_training(speech(tmp_path / "model", freeze_feature_encoder=False))
    assert any(key.startswith(convolutions) for key in everything)


def test_head_and_encoder_have_their_own_learning_rates(tmp_path: Path):
    model = speech(tmp_path / "model", pooling="attention")
    optimizer = step(model, {"audio_encoder.backbone": {"lr": 1e-5}})
    rates = {parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert rates[parameter] == (1e-5 if key.startswith("audio_encoder.backbone.") else 1e-3), key


def test_a_checkpoint_holds_the_classes_and_restores_the_classifier(tmp_path: Path):
    model = speech(tmp_path / "model", pooling="statistics", weighted_layers=True)
    step(model)
    write_checkpoint(tmp_path / "checkpoint", {"epoch": 0, "model": model.state_dict(), "frozen": {}}, {})
    saved = weights_of(read_checkpoint(tmp_path / "checkpoint"), tmp_path / "checkpoint")
    again = speech(tmp_path / "model", pooling="statistics", weighted_layers=True)
    load_weights(again, saved, tmp_path / "checkpoint")
    waves, lengths = padded(clips(16_000))
    assert torch.equal(again.eval()(waves, lengths), model.eval()(waves, lengths))
    assert again.classes == CLASSES


@pytest.mark.parametrize(
    ("then", "message"),
    [
        (
            ["a", "c"],
            r"the 2 classes 'a', 'c'; .* now, 'a', 'b' \(without 'c', with 'b'\); write",
        ),
        (["b", "a"], r"the 2 classes 'b', 'a'; the training split has 2 now, 'a', 'b' \(in another order\); write"),
        (["a", "b", "c"], r"the 3 classes .* \(without 'c'\); write the .*<make tables>, or .*<make training --fresh>"),
        (["a"], r"the 1 classes 'a'; .* \(with 'b'\)"),
        ([f"{n}" for n in range(20)], r"the 20 classes '0', .* '7' and 12 more; .*with 'a', 'b'\)"),
    ],
)
def test_weights_for_other_classes_are_refused(tmp_path: Path, then: list[str], message: str):
    saved, model = (spec_of(name="AudioProjection").build(names, 4) for names in (then, ["a", "b"]))
    model = torch.nn.ModuleDict({"classifier": model, "other": torch.nn.Linear(1, 1)})
    state = {f"classifier.{key}": value for key, value in saved.state_dict().items()}
    with pytest.raises(ArtefactError, match=rf"^{tmp_path}: was trained on {message}"):
        load_weights(model, SavedWeights(state, {}), tmp_path)


def test_names_of_classes_that_cannot_be_read_are_named():
    model = spec_of(name="AudioProjection").build(["a", "b"], 4)
    for names, message in (
        (torch.zeros(3), r"^the names of the classes are torch.float32 \(3,\), expected bytes$"),
        (torch.tensor([55], dtype=torch.uint8), "^the names of the classes are 7, expected a list"),
    ):
        with pytest.raises(ValueError, match=message):
            model.check_weights({"class_names": names})
