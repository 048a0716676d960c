"""The run of conf.yaml on clips of noise: log-mels and caption vectors in files, as stage 1 writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks import parse_run
from tasks.retrieval.retrieval import RetrievalRun
from utils.artefact_utils import (
    Caption,
    Clip,
    LogMelParts,
    LogMelSettings,
    write_audio_info,
    write_text_embeddings,
    write_text_table,
)
from utils.config_utils import override, read_settings


def run_on_noise(
    folder: Path,
    clips: Mapping[str, int],
    seconds: tuple[float, float],
    captions_a_clip: int,
    settings: Sequence[str] = (),
) -> RetrievalRun:
    """Build the run, and write its files.

    Args:
        folder: for the files.
        clips: the role of a split, `train` or `val` -> how many clips it has.
        seconds: the shortest and the longest clip.
        captions_a_clip: of each clip.
        settings: further ones, `key=value`.
    """
    settings = [f"data.features={folder}", "ray.num_samples=1", "training.sampling.length_pool=1", *settings]
    run = parse_run(override(read_settings(Path("conf.yaml")), settings), "conf.yaml")
    assert isinstance(run, RetrievalRun)
    rng = np.random.default_rng(0)
    front_end = run.data.front_end
    shape = (front_end.frames(seconds[1]), front_end.n_mels)
    noise = rng.standard_normal(shape).astype(np.float32)
    table: dict[str, list[Clip]] = {}
    vectors = {}
    for role, count in clips.items():
        split = getattr(run.data.splits, role)
        durations = rng.uniform(*seconds, count)
        found = [
            Clip(f"{role}{n}", f"{role}{n}.wav", f"{n}.wav", float(s), 44_100, 1, f"{role}{n}")
            for n, s in enumerate(durations)
        ]
        captions = [
            Caption(f"{clip.fid}-{k}", clip.fid, clip.fname, "noise", "noise", clip.source_id)
            for clip in found
            for k in range(captions_a_clip)
        ]
        table[split] = found
        write_text_table(run.data.text_table(split), captions)
        parts = LogMelParts(run.data.logmels(split), LogMelSettings(run.data.front_end_numbers()))
        parts.write_part(
            [clip.fid for clip in found],
            ((clip.fid, iter([noise[: front_end.frames(clip.duration_s)]])) for clip in found),
        )
        parts.assemble([clip.fid for clip in found], "benchmark")
        vectors.update({caption.tid: rng.standard_normal(384).astype(np.float32) for caption in captions})
    write_audio_info(run.data.audio_info, table, {})
    write_text_embeddings(run.data.text_vectors, vectors, {"model": run.data.text_embeddings.model})
    return run
