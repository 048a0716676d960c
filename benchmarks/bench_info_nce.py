"""InfoNCE forward + backward compared with a loop over anchors: `python -m benchmarks.bench_info_nce`."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Result, alternate, report, seconds
from utils.criterion_utils import info_nce

BATCH_SIZE = 128
EMBEDDING_DIM = 300
TEMPERATURE = 0.07
CLIPS = 100  # fewer than pairs: some clips have several captions in the batch


def anchor_loop(audio: Tensor, text: Tensor, clip_ids: Tensor) -> Tensor:
    """Compute the same loss one anchor at a time, as the DCASE 2023 baseline does."""
    clips = clip_ids.tolist()
    loss = torch.zeros(())
    for anchor, clip in enumerate(clips):
        candidates = [anchor] + [other for other, its_clip in enumerate(clips) if its_clip != clip]
        target = torch.tensor(0)  # the anchor's own pair comes first
        audio_logits = audio[candidates] @ text[anchor] / TEMPERATURE
        text_logits = text[candidates] @ audio[anchor] / TEMPERATURE
        loss = loss + F.cross_entropy(audio_logits, target) + F.cross_entropy(text_logits, target)
    return loss / len(clips)


def measure() -> Result:
    """Measure the median seconds of forward + backward of both on the same batch."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH_SIZE, EMBEDDING_DIM)
    audio, text = (F.normalize(torch.randn(shape, generator=generator)).requires_grad_() for _ in range(2))
    clip_ids = torch.randint(CLIPS, (BATCH_SIZE,), generator=generator)

    def vectorised(audio: Tensor, text: Tensor, clip_ids: Tensor) -> Tensor:
        return info_nce(audio, text, clip_ids, temperature=TEMPERATURE)

    def step(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> float:
        audio.grad = text.grad = None
        value = loss(audio, text, clip_ids)
        value.backward()
        return value.item()

    difference = abs(step(anchor_loop) - step(vectorised))
    measurements = {
        "loop": seconds(lambda: step(anchor_loop)),
        "ours": seconds(lambda: step(vectorised), calls=20),
    }
    times = alternate(measurements, repeats=9)
    return Result(
        name=f"InfoNCE forward + backward, B = {BATCH_SIZE}, E = {EMBEDDING_DIM}",
        reference=times["loop"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=20,
        note=f"reference: loop over anchors; the losses differ by {difference:.1e}",
    )


if __name__ == "__main__":
    report(measure)
