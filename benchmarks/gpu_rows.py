"""The rows of `benchmarks.gpu`: runs on noise, and the bare networks beside them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from benchmarks.gpu_networks import BareCNN14, step_seconds
from benchmarks.noise_corpus import run_on_noise
from models.audio_encoders.wav2vec2 import Wav2Vec2Encoder
from models.backbones import load_backbone
from tasks.retrieval.retrieval import RetrievalRun
from utils.config_utils import override, to_mapping
from utils.model_utils import Fit
from utils.model_utils.compiling import Compiled

_EPOCHS = 4  # the first one compiles, and is not counted
_RATE_HZ = 16_000


class Row(NamedTuple):
    """One line of the table; `beside` and `ours` are rates, higher is better."""

    name: str
    beside: float
    ours: float
    least: float  # target of ours / beside
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target is met."""
        return self.ours / self.beside >= self.least

    def line(self, *, judged: bool) -> str:
        """Say what was measured; `judged`: and what was to be reached."""
        target = f" | >= {self.least:g}{'' if self.reached else '  MISSED'}" if judged else ""
        row = f"{self.name:<66} | {self.beside:>9.4g} | {self.ours:>9.4g} | {self.ours / self.beside:>6.2f}{target}"
        return f"{row}\n    {self.note}" if self.note else row


class Sizes(NamedTuple):
    """How much is computed."""

    clips: int  # of train and of val
    batch: int
    seconds: tuple[float, float]  # the shortest and the longest clip
    channels: int  # of CNN14's first block
    speech: dict[str, Any]  # of Wav2Vec2Config; empty: wav2vec2-base
    speech_batch: int
    speech_seconds: tuple[float, float]
    steps: int


FULL = Sizes(1024, 32, (15, 30), 64, {}, 16, (5, 10), 30)
_SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TINY = Sizes(8, 2, (0.7, 1.4), 2, {**_SMALL, "num_conv_pos_embedding_groups": 2}, 2, (0.3, 0.5), 2)


def rows(sizes: Sizes, device: torch.device) -> Iterator[Row]:
    """Measure one row after the other."""
    with tempfile.TemporaryDirectory() as name:
        encoder = f"model.audio_encoder={{name: CNN14Encoder, base_channels: {sizes.channels}}}"
        clips = {"train": sizes.clips, "val": sizes.clips}
        run = run_on_noise(Path(name), clips, sizes.seconds, 1, [encoder, "training.sampling.captions_per_clip=1"])
        yield from _cnn14(run, sizes, device, "bf16", least=0.85)
        yield from _cnn14(run, sizes, device, "fp32", least=0.95)
        yield _memory(run, sizes, device)
        yield _speech(Path(name) / "speech", sizes, device)


def _trained(run: RetrievalRun, device: torch.device, *settings: str) -> list[dict[str, float]]:
    """Train; returns the metrics of each epoch."""
    given = [f"training.device={device.type}", f"ray.gpus_per_trial={int(device.type == 'cuda')}", *settings]
    run = type(run).model_validate(override(to_mapping(run), given))
    found: list[dict[str, float]] = []
    fit = Fit(run.build(), run.training, run.optimizer, run.lr_scheduler)
    fit.run(lambda metrics, save: found.append(metrics), {})
    return found


def _cnn14(run: RetrievalRun, sizes: Sizes, device: torch.device, precision: str, least: float) -> Iterator[Row]:
    """Measure CNN14 from disk beside the bare network on as many padded frames, on the device already."""
    compiled = device.type == "cuda"
    network = BareCNN14(sizes.channels).to(device)
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    frames = run.data.front_end.frames(sizes.seconds[1])
    batches = [(torch.randn(sizes.batch, frames, 64, device=device),) for _ in range(3)]
    beside_compiled = compiled and precision == "bf16"
    call: Any = torch.compile(network) if beside_compiled else network
    dtype = torch.bfloat16 if precision == "bf16" else None
    bare = sizes.batch * frames / step_seconds(network, call, batches, dtype, sizes.steps)
    del network, call, batches
    settings = (f"training.precision={precision}", f"training.batch_size={sizes.batch}", f"training.epochs={_EPOCHS}")
    metrics = _trained(run, device, *settings, f"training.compile={str(compiled).lower()}")[1:]
    loader = run.build().loaders()["train"]
    padded = 0
    for epoch in range(2, _EPOCHS + 1):
        loader.set_epoch(epoch)
        padded += sum(batch["audio"].shape[0] * batch["audio"].shape[1] for batch in loader)
    trained_s = sum(one["train_s"] for one in metrics)
    rate = len(metrics) * sizes.clips / trained_s
    name = f"CNN14 {precision}, from disk, clips of {sizes.seconds[0]:g}-{sizes.seconds[1]:g} s: padded frames/s"
    note = f"beside: the bare network, {'compiled' if beside_compiled else 'channels_last'}; ours: {rate:.0f} clips/s"
    yield Row(name, bare, padded / trained_s, least, note)
    waiting = fmean(one["waiting_share"] for one in metrics)
    yield Row(f"  {precision}: share of training in which the device has work", 1.0, 1 - waiting, 0.95)
    validated_s = sum(one["epoch_s"] - one["train_s"] for one in metrics)
    validated = len(metrics) * sizes.clips / validated_s
    yield Row(f"  {precision}: validation, metrics included, beside training: clips/s", rate, validated, 2.5)


def _memory(run: RetrievalRun, sizes: Sizes, device: torch.device) -> Row:
    """Measure the peak memory of whole batches beside that of the same batches in 4 parts."""
    whole = f"training.batch_size={4 * sizes.batch}"
    settings = (whole, "training.precision=bf16", "training.epochs=1", "training.compile=false")
    peaks = [_trained(run, device, *settings, f"training.accumulate={n}")[0]["peak_memory_gb"] for n in (4, 1)]
    note = f"beside: batches of {4 * sizes.batch}, GB; ours, in 4 parts (training.accumulate): {peaks[0]:.2f} GB"
    return Row("peak memory, 1 / GB, weights and optimizer included", 1 / peaks[1], 1 / peaks[0], 2.5, note)


def _speech(folder: Path, sizes: Sizes, device: torch.device) -> Row:
    """Measure fine-tuning of wav2vec 2.0 on unequal clips beside transformers' own network on the padded batch."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2Model(Wav2Vec2Config(**sizes.speech)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    shortest, longest = (round(seconds * _RATE_HZ) for seconds in sizes.speech_seconds)
    torch.manual_seed(0)
    batches = []
    for _ in range(3):
        lengths = torch.randint(shortest, longest + 1, (sizes.speech_batch,))
        batches.append((torch.randn(sizes.speech_batch, int(lengths.max()), device=device), lengths))
    beside = _padded_speech(folder, sizes, batches)
    encoder = Wav2Vec2Encoder(load_backbone(str(folder), "model.audio_encoder.model"), 300).to(device)
    encoder.freeze_layers(trainable=True, freeze_feature_encoder=True)
    eager = sizes.speech_batch / step_seconds(encoder, encoder, batches, torch.bfloat16, sizes.steps)
    Compiled(encoder, device, "auto")
    ours = sizes.speech_batch / step_seconds(encoder, encoder, batches, torch.bfloat16, sizes.steps)
    name = f"wav2vec 2.0 bf16, clips of {sizes.speech_seconds[0]:g}-{sizes.speech_seconds[1]:g} s: clips/s"
    return Row(name, beside, ours, 0.95, f"beside: transformers, padded; ours, without compiling: {eager:.4g} clips/s")


def _padded_speech(folder: Path, sizes: Sizes, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Measure transformers' network on padded batches and their masks, in clips/s."""
    from transformers import Wav2Vec2Model

    network: Any = Wav2Vec2Model.from_pretrained(folder)
    network.to(batches[0][0].device).freeze_feature_encoder()
    padded = []
    for waves, lengths in batches:
        mask = torch.arange(waves.shape[1]) < lengths[:, None]
        padded.append((waves, mask.long().to(waves.device)))

    def embed(waves: Tensor, mask: Tensor) -> Tensor:
        embedded: Tensor = network(waves, attention_mask=mask).last_hidden_state.mean(1)
        return embedded

    return sizes.speech_batch / step_seconds(network, embed, padded, torch.bfloat16, sizes.steps)
