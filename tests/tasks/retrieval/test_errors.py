"""Ranks, margins and the order of queries, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from tasks.retrieval.errors import Errors
from tasks.retrieval.evaluation import evaluate_split
from tasks.retrieval.scores import SplitScores
from utils.artefact_utils import Caption, Clip
from utils.data_utils import Tables
from utils.metric_utils.protocols import PROTOCOLS

# five captions of three clips: the words of each, its clip, and its scores
BY_HAND = [
    ("a dog", 0, [0.9, 0.1, 0.2]),  # rank 1, ahead by 0.7
    ("a loud dog barks", 1, [0.5, 0.4, 0.3]),  # rank 2
    ("one two three four", 2, [0.6, 0.3, 0.1]),  # rank 3, behind by 0.5
    ("x y", 0, [0.5, 0.45, 0.1]),  # rank 1, ahead by 0.05
    ("a b c d e f", 2, [0.6, 0.5, 0.05]),  # rank 3, behind by 0.55
]


def errors_by_hand(folder, top=1):
    clips = [Clip(f"f{n}", f"{n}.wav", f"x/{n}.wav", 1.0, 8000, 1, "") for n in range(3)]
    captions = [Caption(f"t{n}", f"f{c}", f"{c}.wav", text, text, "") for n, (text, c, _) in enumerate(BY_HAND)]
    matrix = np.array([row for _, _, row in BY_HAND], np.float32)
    scores = SplitScores("by hand", "test", folder / "s", folder, captions, clips, Tables(clips, captions), matrix)
    settings = SimpleNamespace(data=SimpleNamespace(root=folder))
    evaluation = evaluate_split(scores, settings, PROTOCOLS["dcase2023"], top=3)
    return Errors.of(scores, settings, evaluation, top)


def test_hard_and_easy_by_hand(tmp_path):
    errors = errors_by_hand(tmp_path)
    assert errors.ranks.tolist() == [1, 2, 3, 1, 3]
    assert errors.margin == pytest.approx([0.7, -0.1, -0.5, 0.05, -0.55], abs=1e-6)
    assert errors.hardest(9).tolist() == [4, 2, 1, 3, 0]
    assert errors.easiest(3).tolist() == [0, 3, 1]
    assert errors.sought_scores == pytest.approx([0.9, 0.4, 0.1, 0.5, 0.05])


def test_a_caption_that_one_clip_has_twice_counts_once_and_sets_no_ceiling(tmp_path):
    clips = [Clip(f"f{n}", f"{n}.wav", f"{n}.wav", 1.0, 8000, 1, "") for n in range(2)]
    texts = [("a dog", 0), ("a dog", 0), ("rain", 1)]
    captions = [Caption(f"t{n}", f"f{c}", f"{c}.wav", text, text, "") for n, (text, c) in enumerate(texts)]
    matrix = np.array([[0.9, 0.1], [0.9, 0.1], [0.8, 0.2]], np.float32)
    scores = SplitScores("one", "test", tmp_path / "s", tmp_path, captions, clips, Tables(clips, captions), matrix)
    settings = SimpleNamespace(data=SimpleNamespace(root=tmp_path))
    evaluation = evaluate_split(scores, settings, PROTOCOLS["dcase2023"], top=2)
    assert evaluation.shared is None
    errors = Errors.of(scores, settings, evaluation, 2)
    assert errors.hardest(9).tolist() == [2, 0]
    assert errors.easiest(1).tolist() == [0]
