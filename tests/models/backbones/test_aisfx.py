"""aiSFX beside the package's own network and pre-processing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys

import numpy as np
import pytest
import soundfile
import torch

from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.backbones import load_backbone
from models.backbones.aisfx import AisfxBackbone
from models.frozen.audio import load_frozen_audio
from tests.models.exported import FRONT_END
from utils.cli_utils import UserError
from utils.model_packages import MODEL_PACKAGES, packaged_weights

KEY = "data.audio_embeddings.model"
MODEL = "package:aisfx"
VARIANTS = ("", ":mean", ":max")
RATE_HZ = 44_100

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("aisfx") is None,
    reason="the package aisfx is missing: pip install --no-deps -r requirements-models.txt",
)


def clips(seconds: tuple[float, ...]) -> list[torch.Tensor]:
    """Noise that grows and changes its colour, each clip at its own level."""
    generator = np.random.default_rng(0)
    waves = []
    for number, duration_s in enumerate(seconds):
        wave = generator.standard_normal(round(duration_s * RATE_HZ))
        wave = np.convolve(wave, generator.uniform(-1, 1, 8), "same") * np.linspace(0.1, 1, len(wave)) ** 2
        waves.append(torch.from_numpy((0.02 * (number + 1) * wave).astype(np.float32)))
    return waves


def padded(waves: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True, padding_value=float("nan"))
    return batch, torch.tensor([len(wave) for wave in waves])


@pytest.fixture(scope="module")
def backbone() -> AisfxBackbone:
    return load_backbone(MODEL, KEY)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def package_embeddings(tmp_path_factory: pytest.TempPathFactory):
    """The package's own code, from a wave to the embeddings of its blocks; the end of a clip is in the last one."""
    from aisfx.inference import SPEC_BLOCK_LENGTH, SPEC_HOP_LENGTH, model_get_embedding
    from aisfx.models.cnn2d import EmbeddingNet
    from aisfx.preprocessing import spectrogram_normalize
    from aisfx.spectrogram.spectrogram_librosa import compute_spectrogram

    class Whole(torch.nn.Module):
        """The package's network without its classifiers."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding_net = EmbeddingNet("max", 3, 1, 64)

        def get_embedding(self, blocks: torch.Tensor) -> torch.Tensor:
            return self.embedding_net(blocks)

    network = Whole().eval()
    with torch.serialization.safe_globals([np.dtype, np.dtypes.Int64DType, *_numpy_scalars()]):
        weights, _ = torch.load(packaged_weights("aisfx", KEY), map_location="cpu", weights_only=True)
    network.load_state_dict({name: value for name, value in weights.items() if name.startswith("embedding_net.")})
    folder = tmp_path_factory.mktemp("package")

    def embeddings(wave: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
        path = folder / "clip.wav"
        soundfile.write(path, wave.numpy(), RATE_HZ, subtype="FLOAT")
        spectrogram = compute_spectrogram(str(path), RATE_HZ, SPEC_BLOCK_LENGTH, SPEC_HOP_LENGTH, 96, 0.0, 22_050.0)
        log_mels = spectrogram_normalize(spectrogram).T
        return log_mels, model_get_embedding(log_mels, 0.5, False, network, "cpu")

    return embeddings


def _numpy_scalars() -> list[tuple[object, str]]:
    return [(np._core.multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]


@needs_package
@torch.inference_mode()
def test_front_end_and_vectors_are_those_of_the_package(backbone, package_embeddings):
    waves = clips((2.4, 3.49, 7.0, 1.2))  # one block and a bit, two, five, and less than one
    batch, lengths = padded(waves)
    own = backbone.log_mel(*backbone._checked(batch, lengths))
    vectors = {
        variant: load_backbone(f"{MODEL}{variant}", KEY).vectors(batch, lengths) for variant in ("", ":mean", ":max")
    }
    blocks = []
    for row, wave in enumerate(waves):
        log_mels, expected = package_embeddings(wave)
        blocks.append(len(expected))
        np.testing.assert_allclose(own[row, : len(log_mels)], log_mels, atol=1e-5)
        assert not own[row, len(log_mels) :].any()
        both = torch.cat([expected.mean(0), expected.amax(0)])
        torch.testing.assert_close(vectors[""][row], both, atol=1e-5, rtol=0)
        torch.testing.assert_close(vectors[":mean"][row], expected.mean(0), atol=1e-5, rtol=0)
        torch.testing.assert_close(vectors[":max"][row], expected.amax(0), atol=1e-5, rtol=0)
    assert blocks == [2, 3, 6, 1]
    assert (vectors[""] - vectors[""].roll(1, 0)).abs().amax(1).min() > 0.1  # clips differ by far more


@needs_package
@torch.inference_mode()
def test_frames_are_those_before_the_pooling_over_time(backbone):
    wave = clips((2.3,))[0][: 99 * 1024]  # one block
    frames, counts = backbone.frames(wave[None], torch.tensor([len(wave)]))
    assert frames.shape == (1, 12, 512)
    assert counts.tolist() == [12] == [backbone.frame_count(len(wave))]
    vector = load_backbone(f"{MODEL}:max", KEY).vectors(wave[None], torch.tensor([len(wave)]))
    torch.testing.assert_close(frames.amax(1), vector, atol=1e-5, rtol=0)


@needs_package
@torch.inference_mode()
def test_a_clip_is_the_same_alone_in_any_batch_and_at_any_level(backbone):
    waves = clips((0.9, 2.9, 0.05, 5.0, 0.9))
    batch, lengths = padded(waves)
    frames, counts = backbone.frames(batch, lengths)
    vectors = backbone.vectors(batch, lengths)
    assert counts.tolist() == [4, 15, 1, 27, 4]
    for row, wave in enumerate(waves):
        alone = torch.tensor([len(wave)])
        torch.testing.assert_close(
            frames[row, : counts[row]], backbone.frames(wave[None], alone)[0][0], atol=1e-5, rtol=0
        )
        torch.testing.assert_close(vectors[row], backbone.vectors(wave[None], alone)[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(vectors[row], backbone.vectors(0.01 * wave[None], alone)[0], atol=1e-4, rtol=0)
    silence = backbone.vectors(torch.zeros(1, 100), torch.tensor([100]))
    assert silence.isfinite().all()


@needs_package
def test_a_frozen_encoder_reports_its_model_and_pooling():
    made = {variant: load_frozen_audio(f"{MODEL}{variant}", None, FRONT_END, 30.0) for variant in VARIANTS}
    assert [encoder.width for encoder in made.values()] == [1024, 512, 512]
    assert [encoder.frame_width for encoder in made.values()] == [512, 512, 512]
    assert [encoder.pooling(False) for encoder in made.values()] == [
        "mean and maximum over blocks of 2.3 s",
        "mean over blocks of 2.3 s",
        "maximum over blocks of 2.3 s",
    ]
    digest = MODEL_PACKAGES["aisfx"].sha256
    assert [encoder.revision for encoder in made.values()] == [f"sha256:{digest}{variant}" for variant in made]
    assert made[""].describe_input() == "44100 Hz, windows of at most 30 s"


@needs_package
def test_batch_norm_learns_no_statistics():
    assert not any(
        part.training for part in load_backbone(MODEL, KEY).train().network.modules() if "Norm" in type(part).__name__
    )


@needs_package
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_it_can_be_trained_on_waveforms(pooling):
    encoder = Wav2Vec2Spec(name="AisfxEncoder", model=f"{MODEL}:max", pooling=pooling).build(5)
    before = {name: value.clone() for name, value in encoder.backbone.state_dict().items()}
    batch, lengths = padded(clips((0.5, 0.9)))
    encoder(batch, lengths).square().sum().backward()
    torch.optim.SGD(encoder.parameters(), 0.1).step()
    after = encoder.backbone.state_dict()
    changed = {name.rpartition(".")[2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"weight", "bias"}  # and no running statistics
    assert all(value.isfinite().all() for value in after.values())


def test_the_name_of_the_encoder_and_the_model_belong_together():
    with pytest.raises(UserError, match=r"package:aisfx: the model's type is aisfx, expected wav2vec2 .* AisfxEncoder"):
        Wav2Vec2Spec(name="Wav2Vec2Encoder", model=MODEL).build(5)
    with pytest.raises(ValueError, match="AisfxEncoder takes no choice of layers; leave the key out"):
        Wav2Vec2Spec(name="AisfxEncoder", model=MODEL, layers=1)


@needs_package
def test_the_package_s_own_code_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "aisfx", None)  # `import aisfx` would be an error
    assert load_backbone(MODEL, KEY).vector_width == 1024


def test_another_variant_and_layers_are_refused():
    with pytest.raises(UserError, match=rf"^{KEY}: {MODEL}:min: expected {MODEL}, {MODEL}:mean or {MODEL}:max$"):
        load_backbone("package:aisfx:min", KEY)
    with pytest.raises(UserError, match=r"^data.audio_embeddings.layers: 2, but aiSFX takes no choice of layers"):
        load_backbone(MODEL, KEY, layers=2)


def test_a_missing_package_names_the_command(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(
        UserError, match=rf"^{KEY}: {MODEL}: no such package is installed; pip install --no-deps aisfx=="
    ):
        load_backbone(MODEL, KEY)
