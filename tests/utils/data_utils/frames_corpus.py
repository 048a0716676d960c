"""The files of splits of clips with frames and captions, written without any encoder."""

import numpy as np

from utils.artefact_utils import (
    Caption,
    Clip,
    EmbeddingParts,
    EmbeddingSettings,
    write_audio_info,
    write_text_table,
)
from utils.config_utils import parse
from utils.data_utils import CaptionDataSpec, ImageDataSpec

LENGTHS = [3, 5, 1, 4]
CAPTIONS = [(0, "A dog barks."), (0, " Two  dogs\n bark "), (1, "Rain."), (2, "  "), (3, "a bell"), (3, "a b")]


class FramesCorpus:
    """One split of four clips and six captions; the encoder refuses a fifth clip, whose caption is the seventh."""

    def __init__(self, folder, kind="sounds", split="x"):
        self.kind, self.split = kind, split
        pictures = kind == "pictures"
        mapping = {"root": str(folder / "none"), "features": str(folder / "features")}
        encoder = "image_embeddings" if pictures else "audio_embeddings"
        self.data = parse(mapping | {encoder: {"model": "m"}}, ImageDataSpec if pictures else CaptionDataSpec, "x")
        duration_s, rate_hz = (0.0, 0) if pictures else (40.0, 16_000)
        self.clips = [Clip(f"f{n}", f"{n}.x", f"{n}.x", duration_s, rate_hz, 1, "s") for n in range(5)]
        self.captions = [Caption(f"t{n}", f"f{c}", f"{c}.x", raw, "", "s") for n, (c, raw) in enumerate(CAPTIONS)]
        self.captions.append(Caption("t6", "f4", "4.x", "refused", "", "s"))
        rng = np.random.default_rng(0)
        self.frames = [rng.standard_normal((length, 2)).astype(np.float32) for length in LENGTHS]

    def write(self, **settings):
        """All files; `settings` of the encoder."""
        pooling, heard = ("patches", "") if self.kind == "pictures" else ("", "16000 Hz, windows of at most 30 s")
        made = EmbeddingSettings("frames", "m", "sha256:1", None, pooling, heard, "fp32", "float32")
        write_audio_info(self.data.clip_info, {self.split: self.clips}, {})
        write_text_table(self.data.text_table(self.split), self.captions)
        parts = EmbeddingParts(self.data.frames_source(self.split).path, made._replace(**settings))
        fids = [clip.fid for clip in self.clips[:4]]
        parts.write_part(fids, ((fid, iter([array])) for fid, array in zip(fids, self.frames, strict=True)))
        parts.finish(fids, {"f4": "too short"}, "made")
        return self


def letters(text):
    """A token a letter, and 1 as the end of sequence."""
    return [ord(letter) for letter in text] + [1]
