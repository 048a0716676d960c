"""The recordings of a split: which class each has, what an epoch goes through, and what is refused."""

import numpy as np
import pytest

from tests.tasks.classification import corpora
from utils.artefact_utils import read_clips, write_audio_info
from utils.artefact_utils.labels import read_labels, write_labels
from utils.cli_utils import ArtefactError
from utils.data_utils import TrainLoader

OVERLAP = "data.window_overlap=0.5"
# of 1 s, a new one every 0.5 s: one in each recording, but five in the long one: at 0, 0.5, 1, 1.5 and 1.6 s
WINDOWS = {"high": 6, "low": 5 + 5}


def split_of(folder, *settings, role="train"):
    return corpora.run_of(folder, *settings).build().data(role)


@pytest.mark.parametrize("kind", ["logmel", "wave"])
def test_every_window_comes_once_with_the_class_of_its_recording(trained, kind):
    split = split_of(trained, OVERLAP, *([corpora.wave_encoder(trained)] if kind == "wave" else []))
    assert split.classes == ("high", "low")
    loader = TrainLoader(split, split.training_batches(4, seed=0))
    orders = []
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        seen = []
        for batch in loader:
            numbers = [int(split.clips[clip].fname.split()[1].removesuffix(".wav")) for clip in batch["clip_ids"]]
            assert batch["targets"].tolist() == [number % 2 for number in numbers]
            seen += numbers
        assert np.bincount(seen).tolist() == [1, 5, *[1] * 10]
        orders.append(seen)
    assert orders[0] != orders[1]


def test_without_overlap_of_training_a_recording_is_one_random_window(trained):
    split = split_of(trained)
    sampler = split.training_batches(4, seed=0)
    starts = []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        drawn = [(clip, start) for batch in sampler for clip, start in zip(*batch, strict=True)]
        assert sorted(clip for clip, _ in drawn) == list(range(12))
        starts.append(dict(drawn)[1])
    assert len(set(starts)) > 4


def test_weights_of_classes_balance_what_training_goes_through(trained):
    """With balanced weights every class has the same sum of weights, over windows or over recordings."""
    balanced = "criterion.class_weights=balanced"
    for overlap, counts in ((OVERLAP, WINDOWS), ("data.window_overlap=null", {"high": 6, "low": 6})):
        task = corpora.run_of(trained, balanced, overlap).build()
        of_class = task.criterion.weights.numpy() * [counts[name] for name in task.classes]
        np.testing.assert_allclose(of_class, sum(counts.values()) / 2, rtol=1e-6)


def test_long_recordings_that_are_decoded_from_their_beginning_are_named(trained):
    """Ten minutes in windows of 1 s, a new one every 0.5 s: 1199 that begin at 299.5 s in the mean, 99.75 hours."""
    info = corpora.run_of(trained).data.audio_info
    clips = {split: read_clips(info, split, "") for split in corpora.SPLITS}

    def cost(suffix, count, *settings):
        long = [clip._replace(path=f"long.{suffix}", duration_s=600.0) for clip in clips["development"][:count]]
        write_audio_info(info, clips | {"development": long + clips["development"][count:]}, {})
        run = corpora.run_of(trained, corpora.wave_encoder(trained), *settings)
        splits = [run.build().data(role) for role in ("train", "val")]
        return run.check_splits(splits, thorough=False)

    (line,) = cost("m4a", 2, OVERLAP)
    assert line.startswith("development: 2 recordings, such as long.m4a of 10 minutes, are of a format that is decoded")
    assert "200 hours of sound an epoch" in line
    assert cost("m4a", 1, OVERLAP) == []  # which is soon done
    assert cost("flac", 2, OVERLAP) == []
    assert cost("m4a", 2) == []  # one window of each


def test_counts_are_of_recordings(trained):
    split = split_of(trained, OVERLAP)
    assert split.counts().tolist() == [6, 6]
    assert split.training_counts().tolist() == list(WINDOWS.values())
    assert {"categories": "2", "of each": "6 to 6", "clips": "12"}.items() <= split.summary().items()


def relabelled(folder, change):
    path = corpora.run_of(folder).data.labels
    write_labels(path, [row for row in map(change, read_labels(path, "")) if row is not None])


def test_another_category_of_a_recording_is_another_state_of_the_data(trained):
    before = split_of(trained).digest()
    relabelled(trained, lambda row: row._replace(category="low") if row.fid == "development-0" else row)
    assert split_of(trained).digest() != before


def test_a_recording_without_a_category_is_refused(trained):
    relabelled(trained, lambda row: None if row.fid == "validation-1" else row)
    with pytest.raises(
        ArtefactError, match=r"labels\.csv: has no recording validation-1 \(.*audio_info\.pkl.*<make tables>"
    ):
        split_of(trained, role="val")


def test_a_category_that_training_lacks_is_refused(trained):
    relabelled(trained, lambda row: row._replace(category="ring") if row.fid == "validation-1" else row)
    with pytest.raises(ArtefactError, match=r"'validation' has .* of 'ring', such as validation 1\.wav, which 'dev"):
        split_of(trained, role="val")


def test_one_category_is_nothing_to_learn(trained):
    relabelled(trained, lambda row: row._replace(category="low"))
    with pytest.raises(ArtefactError, match=r"'development' has the category 'low' alone, expected at least two; add"):
        split_of(trained)
