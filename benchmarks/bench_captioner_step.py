"""A training step of an adapter beside the bare language model's: `python -m benchmarks.bench_captioner_step`."""

from __future__ import annotations

import math

import torch

from benchmarks.timing import Result, alternate, one_thread, report, seconds
from benchmarks.tiny_captioner import CAPTION, FRAMES, noise_clips, tiny_captioner

BATCH, HIDDEN, LAYERS = 16, 256, 6


def measure() -> Result:
    """Measure the median seconds of a step with the adapter, and of transformers' own forward and backward.

    Raises:
        RuntimeError: the two losses differ.
    """
    captioner, clips = tiny_captioner(HIDDEN, LAYERS).train(), noise_clips(BATCH)
    optimizer = torch.optim.AdamW(captioner.adapter.parameters(), lr=1e-3)
    with torch.no_grad():
        tokens, counts = captioner.adapter(clips.frames, clips.lengths)
        joined = captioner.join(tokens, counts, clips.ids, clips.id_lengths)
    # transformers shifts labels by itself, and ours are shifted: the number of targets is what has to be the same
    labels = torch.cat([torch.full((BATCH, 1), -100), joined.labels[:, :-1]], dim=1)
    embeddings = joined.embeddings.clone().requires_grad_()

    def bare() -> float:
        embeddings.grad = None
        network = captioner.language.network
        loss = network(inputs_embeds=embeddings, attention_mask=joined.mask, labels=labels, use_cache=False).loss
        loss.backward()
        return float(loss.item())

    def ours() -> float:
        total, n_tokens = captioner.losses(*clips)
        loss = total / n_tokens
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    theirs, own = bare(), ours()
    if not math.isclose(theirs, own, rel_tol=1e-4):
        raise RuntimeError(f"the losses differ: {theirs} of transformers, {own} of the captioner")
    with one_thread():
        times = alternate({"bare": seconds(bare), "ours": seconds(ours)}, repeats=11)
    return Result(
        name=f"adapter step, {BATCH} clips of {FRAMES} frames, {embeddings.shape[1]} tokens",
        reference=times["bare"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=0.95,
        note=f"reference: transformers' Qwen3 ({LAYERS} layers of {HIDDEN}) forward and backward on the same tokens, "
        f"logits everywhere; ours: with adapter and AdamW, logits of the {CAPTION} tokens of each caption",
    )


if __name__ == "__main__":
    report(measure)
