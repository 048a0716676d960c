"""A split without captions: every clip once an epoch, its row in the batch finds its label, counts and digest."""

import numpy as np
import pytest
import torch

from tests.utils.data_utils.corpus import FRAMES, Corpus, features
from utils.artefact_utils import write_audio_info
from utils.cli_utils import ArtefactError
from utils.config_utils import parse
from utils.data_utils import AudioClips, AudioDataSpec, ClipBatch, TrainLoader, audio_loader

ROW = {(features(n)[0, 0]): n for n in range(6)}  # by the first value of a clip


@pytest.fixture
def data(tmp_path):
    """A `data:` block that knows no captions, beside the table and the log-mels of the clips alone."""
    data = Corpus(tmp_path).data
    data.text_table("x").unlink()
    data.text_vectors.unlink()
    return parse(data.model_dump(include={"root", "features", "front_end", "max_duration_s"}), AudioDataSpec, "x.yaml")


@pytest.fixture
def clips(data):
    return AudioClips(data, "x")


def test_a_batch_holds_the_windows_and_says_whose_they_are(clips, data):
    batch = clips[ClipBatch(np.array([2, 1]), np.array([149, 0]))]
    assert sorted(batch) == ["audio", "clip_ids", "lengths"]
    assert batch["clip_ids"].tolist() == [2, 1]
    assert batch["lengths"].tolist() == [101, 7]
    np.testing.assert_array_equal(batch["audio"][0], features(2)[149:250])
    np.testing.assert_array_equal(batch["audio"][1, :7], features(1))
    assert (batch["audio"][1, 7:] == np.float32(data.front_end.floor)).all()


@pytest.mark.parametrize("length_pool", [1, 2])
def test_an_epoch_is_every_clip_once_with_its_own_label(clips, length_pool):
    labels = torch.tensor([10, 11, 12, 13, 14, 15])
    loader = TrainLoader(clips, clips.sampler(4, seed=3, length_pool=length_pool))
    orders = []
    for epoch in range(4):
        loader.set_epoch(epoch)
        batches = list(loader)
        assert [len(batch["clip_ids"]) for batch in batches] == [3, 3]
        assert len(loader) == 2
        for batch in batches:
            for row, label in enumerate(labels[batch["clip_ids"]].tolist()):
                if label != 12:  # that one is longer than a window
                    assert ROW[batch["audio"][row, 0, 0].item()] == label - 10
        orders.append(torch.cat([batch["clip_ids"] for batch in batches]).tolist())
        assert sorted(orders[-1]) == list(range(6))
    assert len(set(map(tuple, orders))) > 1
    loader.set_epoch(0)
    assert torch.cat([batch["clip_ids"] for batch in loader]).tolist() == orders[0]


def test_windows_of_long_clips_begin_anywhere(clips):
    sampler = clips.sampler(6, seed=0)
    starts = []
    for epoch in range(400):
        sampler.set_epoch(epoch)
        (batch,) = sampler
        starts.append(int(batch.starts[2]))
        assert (np.delete(batch.starts, 2) == 0).all()
    assert (min(starts), max(starts)) == (0, FRAMES[2] - 101)


def test_evaluation_has_every_window(clips):
    frames = sum(int(batch["lengths"].sum()) for batch in audio_loader(clips.audio, 2))
    assert frames == sum(FRAMES)


def test_a_split_says_its_name_its_counts_and_its_state(clips, data):
    assert clips.name == "x"
    assert clips.summary() == {"clips": "6", "hours": f"{6 / 3600:.2f}"}
    assert clips.revisions == {}
    clips.check()
    assert AudioClips(data, "x").digest() == clips.digest()
    write_audio_info(data.audio_info, {"x": clips.clips[:5]}, {})
    assert AudioClips(data, "x").digest() != clips.digest()


def test_a_missing_table_is_named(data):
    (data.audio_info).unlink()
    with pytest.raises(ArtefactError, match=r"audio_info\.pkl: no such file"):
        AudioClips(data, "x")
