"""Captions of 64 clips in one batch beside one by one: `python -m benchmarks.bench_caption_generation`."""

from __future__ import annotations

from benchmarks.timing import Result, alternate, one_thread, report, seconds
from benchmarks.tiny_captioner import noise_clips, tiny_captioner
from models.generation import GenerationSpec, generate

CLIPS, NEW_TOKENS, HIDDEN, LAYERS = 64, 12, 64, 2


def measure() -> Result:
    """Measure the median seconds of greedy captions; both ways have to write the same ones.

    Raises:
        RuntimeError: they differ.
    """
    captioner, clips = tiny_captioner(HIDDEN, LAYERS).eval(), noise_clips(CLIPS)
    spec = GenerationSpec(max_new_tokens=NEW_TOKENS)
    written: dict[str, list[str]] = {}

    def batched() -> None:
        written["batched"] = generate(captioner, clips.frames, clips.lengths, spec)

    def one_by_one() -> None:
        rows = zip(clips.frames.split(1), clips.lengths.split(1), strict=True)
        written["one by one"] = [generate(captioner, *row, spec)[0] for row in rows]

    with one_thread():
        times = alternate({"one by one": seconds(one_by_one), "batched": seconds(batched)}, repeats=3)
    if written["batched"] != written["one by one"]:
        raise RuntimeError("captions of a batch differ from those of single clips")
    return Result(
        name=f"generation of {CLIPS} captions of {NEW_TOKENS} tokens",
        reference=times["one by one"],
        ours=times["batched"],
        unit="s",
        minimum_ratio=4,
        note=f"greedy, a Qwen3 of {LAYERS} layers of {HIDDEN}; reference: one clip at a time; equal captions",
    )


if __name__ == "__main__":
    report(measure)
