"""The files of one split of six clips and ten captions, written without any audio."""

import numpy as np

from tests.utils.audio_utils.test_front_end import CUSTOM
from utils.artefact_utils import (
    Caption,
    Clip,
    LogMelParts,
    LogMelSettings,
    write_audio_info,
    write_text_embeddings,
    write_text_table,
)
from utils.data_utils import CaptionDataSpec, CaptionedClips

FRAMES = [30, 7, 250, 101, 1, 100]  # a window has 101 frames: 1 s at 16 kHz, hop 160
CAPTIONS = [0, 1, 1, 2, 2, 2, 3, 4, 5, 5]


def features(clip):
    return np.random.default_rng(clip).normal(-20, 5, (FRAMES[clip], 40)).astype(np.float32)


class Corpus:
    """The files of one split, written without any audio."""

    def __init__(self, folder, dtype="float32"):
        self.data = CaptionDataSpec(
            root=folder.parent / "none",
            features=folder,
            front_end=CUSTOM,
            max_duration_s=1.0,
            text_embeddings={"model": "m"},
        )
        self.clips = [Clip(f"f{n}", f"clip {n}.wav", f"x/clip {n}.wav", 1.0, 16_000, 1, "s") for n in range(6)]
        self.captions = [Caption(f"t{n}", f"f{c}", f"clip {c}.wav", "A.", "a", "s") for n, c in enumerate(CAPTIONS)]
        self.features = [features(n) for n in range(6)]
        self.vectors = {f"t{n}": np.full(3, n, np.float32) for n in range(10)}
        self.dtype = dtype
        self.write()

    def write(self):
        data = self.data
        write_audio_info(data.audio_info, {"x": self.clips}, {})
        write_text_table(data.text_table("x"), self.captions)
        write_text_embeddings(data.text_vectors, self.vectors, {"model": "m"})
        parts = LogMelParts(data.logmels("x"), LogMelSettings(data.front_end_numbers(), self.dtype))
        blocks = [
            (clip.fid, iter(np.array_split(array, 3 if len(array) == 250 else 1)))  # the long one lies in chunks
            for clip, array in zip(self.clips, self.features, strict=False)
        ]
        parts.write_part([fid for fid, _ in blocks], blocks)
        parts.assemble([fid for fid, _ in blocks], "")

    def opened(self):
        return CaptionedClips(self.data, "x")
