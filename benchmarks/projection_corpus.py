"""Shared by the benchmarks of training on cached vectors: files of stage 1 with random audio and text vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks import parse_run
from tasks.retrieval.clap_projection import ClapProjectionRun
from utils.artefact_utils import Caption, Clip, write_audio_info, write_text_embeddings, write_text_table
from utils.artefact_utils.audio_embeddings import EmbeddingParts, EmbeddingSettings
from utils.config_utils import override, read_settings

PAIRS = 49_490  # training clips of AudioCaps that could be downloaded, one caption each
AUDIO_DIM, TEXT_DIM = 768, 512  # wav2vec2-base, CLIP ViT-B/32
BATCH = 1024

_SETTINGS = EmbeddingSettings("vectors", "noise", "none", None, "mean", "16000 Hz", "fp32", "float32")


def run_on_noise(folder: Path, pairs: int = PAIRS) -> ClapProjectionRun:
    """Build the run of tasks/clap_projection.yaml on noise, with the sizes of AudioCaps."""
    settings = [
        f"data.features={folder}",
        "data.audio_embeddings={model: noise}",
        "data.text_embeddings={file: clip_embeds.pkl, model: noise}",
        "model.audio_encoder.standardise=false",
        f"training.batch_size={BATCH}",
        "training.clip_grad_norm=null",
    ]
    path = Path("tasks/clap_projection.yaml")
    run = parse_run(override(read_settings(path), settings), str(path))
    assert isinstance(run, ClapProjectionRun)
    rng = np.random.default_rng(0)
    split = run.data.splits.train
    clips = [Clip(f"fid{n}", f"{n}.wav", f"{n}.wav", 10.0, 32_000, 1, f"{n}") for n in range(pairs)]
    captions = [Caption(f"tid{n}", f"fid{n}", f"{n}.wav", "noise", "noise", f"{n}") for n in range(pairs)]
    write_audio_info(run.data.audio_info, {split: clips}, {})
    write_text_table(run.data.text_table(split), captions)
    audio = rng.standard_normal((pairs, AUDIO_DIM), np.float32)
    text = rng.standard_normal((pairs, TEXT_DIM), np.float32)
    fids = [clip.fid for clip in clips]
    parts = EmbeddingParts(run.data.audio_vectors(split), _SETTINGS)
    parts.write_part(fids, ((fid, iter([vector])) for fid, vector in zip(fids, audio, strict=True)))
    parts.finish(fids, {}, "benchmark")
    vectors = {caption.tid: vector for caption, vector in zip(captions, text, strict=True)}
    write_text_embeddings(run.data.text_vectors, vectors, {"model": "noise"})
    return run
