"""The clips of a split in temporary files."""

import numpy as np

from utils.artefact_utils import Clip
from utils.data_utils.clip_writing import groups_of


def test_groups_are_runs_of_about_600_seconds():
    def clip(number, seconds):
        return Clip(f"f{number}", "", "", seconds, 44_100, 1, "")

    clips = [clip(n, s) for n, s in enumerate([300.0, 299.0, 2.0, 700.0, 1.0])]
    groups = groups_of(clips, 600)
    assert [[c.duration_s for c in group] for group in groups] == [[300, 299], [2], [700, 1]]
    assert groups_of([], 600) == []
    rng = np.random.default_rng(0)
    many = [clip(n, s) for n, s in enumerate(rng.uniform(0, 30, 2000))]
    groups = groups_of(many, 600)
    assert [c for group in groups for c in group] == many
    assert max(sum(c.duration_s for c in group) for group in groups) <= 630
