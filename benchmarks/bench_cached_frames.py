"""A captioning epoch on cached frames beside one that encodes: `python -m benchmarks.bench_cached_frames`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.timing import Result, alternate, one_thread, report, seconds
from benchmarks.tiny_captioner import WORDS, tiny_captioner
from utils.artefact_utils import Caption, Clip, EmbeddingParts, EmbeddingSettings, write_audio_info, write_text_table
from utils.config_utils import parse
from utils.data_utils import CaptionDataSpec, CaptionedFrames, SamplingSpec, TrainLoader

CLIPS, BATCH, SAMPLES, WIDTH = 32, 8, 48_000, 512
HIDDEN, LAYERS = 128, 2


def encoder() -> nn.Module:
    """Build a small random wav2vec 2.0, which makes 149 frames of 3 s at 16 kHz."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=WIDTH,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=4 * WIDTH,
        conv_dim=(64, 64, 64, 64, 64, 64, 64),
    )
    network: nn.Module = Wav2Vec2Model(config).eval().requires_grad_(False)
    return network


@torch.inference_mode()
def frames_of(network: nn.Module, waves: Tensor) -> Tensor:
    """Encode (B, S) waves to (B, T, D) frames."""
    frames: Tensor = network(waves).last_hidden_state
    return frames


def cached(folder: Path, frames: Tensor) -> CaptionedFrames:
    """Write the files of stage 1, with a caption of each clip, and open them."""
    mapping = {
        "root": str(folder / "raw"),
        "features": str(folder / "features"),
        "audio_embeddings": {"model": "noise"},
    }
    data: CaptionDataSpec = parse(mapping, CaptionDataSpec, "benchmark")
    clips = [Clip(f"fid{n}", f"{n}.wav", f"{n}.wav", 3.0, 16_000, 1, f"{n}") for n in range(len(frames))]
    captions = [Caption(f"tid{n}", clip.fid, clip.path, str(n), "", clip.source_id) for n, clip in enumerate(clips)]
    write_audio_info(data.clip_info, {"development": clips}, {})
    write_text_table(data.text_table("development"), captions)
    settings = EmbeddingSettings(
        "frames", "noise", "none", None, "", "16000 Hz, windows of at most 30 s", "fp32", "float32"
    )
    parts = EmbeddingParts(data.frames_source("development").path, settings)
    fids = [clip.fid for clip in clips]
    parts.write_part(fids, ((fid, iter([one])) for fid, one in zip(fids, frames.numpy(), strict=True)))
    parts.finish(fids, {}, "benchmark")
    return CaptionedFrames(data, "development", lambda text: [(int(text) * 7 + word) % WORDS for word in range(1, 17)])


def measure() -> Result:
    """Measure the median seconds of an epoch of either kind; the arithmetic after the frames is the same."""
    network, captioner = encoder(), tiny_captioner(HIDDEN, LAYERS).train()
    waves = torch.randn(CLIPS, SAMPLES, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(captioner.adapter.parameters(), lr=1e-3)

    def epoch(encodes: bool) -> None:
        loader.set_epoch(1)
        for batch in loader:
            frames = batch["frames"]
            if encodes:
                frames = frames_of(network, waves[batch["clip_ids"]]).clone()
            total, tokens = captioner.losses(frames, batch["lengths"], batch["ids"], batch["id_lengths"])
            optimizer.zero_grad(set_to_none=True)
            (total / tokens).backward()
            optimizer.step()

    with tempfile.TemporaryDirectory() as name, one_thread():
        split = cached(Path(name), torch.cat([frames_of(network, some) for some in waves.split(BATCH)]))
        loader = TrainLoader(split, split.sampler(BATCH, 0, SamplingSpec()))
        times = alternate({"encodes": seconds(lambda: epoch(True)), "ours": seconds(lambda: epoch(False))}, repeats=3)
    return Result(
        name=f"captioning epoch of {CLIPS} clips of 3 s, cached frames",
        reference=times["encodes"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=2,
        note="reference: the same epoch with a wav2vec 2.0 of 4 layers on every batch; ours reads the HDF5 of frames",
    )


if __name__ == "__main__":
    report(measure)
