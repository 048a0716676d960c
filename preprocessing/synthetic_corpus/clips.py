"""One clip: its scene in sound and in words, from a seed, a split (or a kind) and an index alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from preprocessing.synthetic_corpus.captions import draw_captions
from preprocessing.synthetic_corpus.kinds import KINDS, sound
from preprocessing.synthetic_corpus.scenes import Scene, draw_scene, draw_scene_of
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ, Wave, at_level, band_pass, noise

PEAK = 0.99


@dataclass(frozen=True)
class Plan:
    """A clip before its sound is made; cheap.

    Attributes:
        scene: its events and their times.
        captions: five; none of a clip of one kind.
        rng: as the plan has left it; `render` draws the sound from it, once.
    """

    scene: Scene
    captions: tuple[str, ...]
    rng: np.random.Generator

    @property
    def samples(self) -> int:
        """S, the length of the clip."""
        return round(self.scene.duration_s * SAMPLE_RATE_HZ)


def plan_clip(seed: int, split_number: int, index: int) -> Plan:
    """Draw the scene and the captions of a clip.

    Args:
        seed: of the corpus, 0 or more.
        split_number: 0 training, 1 validation, 2 evaluation.
        index: of the clip in its split; other clips have no influence on it.
    """
    rng = np.random.default_rng([seed, split_number, index])
    scene = draw_scene(rng)
    return Plan(scene, draw_captions(rng, scene), rng)


def plan_clip_of(seed: int, kind: str, index: int) -> Plan:
    """Draw the scene of a clip that holds one kind of sound alone.

    Args:
        seed: of the corpus, 0 or more.
        kind: a key of `KINDS`.
        index: of the clip among those of its kind; other clips and other kinds have no influence on it.
    """
    # the name and not its place in the table: a kind that is added there changes no clip of the others
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
    return Plan(draw_scene_of(rng, kind), (), rng)


def render(plan: Plan) -> Wave:
    """The sound of a plan. Returns: (S,) float32, peak at most 0.99, nowhere digital silence."""
    rng, scene = plan.rng, plan.scene
    air = noise(rng, plan.samples)
    dark = band_pass(air, 0, 600)
    wave = at_level(air * (1 - scene.noise_colour) + 3 * dark * scene.noise_colour, scene.noise_db)
    for event in scene.events:
        part = at_level(sound(rng, KINDS[event.kind], event.voice, event.count), event.level_db)
        start = round(event.start_s * SAMPLE_RATE_HZ)
        wave[start : start + len(part)] += part
    peak = float(np.abs(wave).max())
    return wave if peak <= PEAK else wave * np.float32(PEAK / peak)
