"""Embeddings of tracks are the mean and the deviation of all codes of all windows, however they are batched."""

import itertools

import numpy as np
import pytest
import torch

from tasks.music.embeddings import CodeMoments, OneTrack, embeddings_of
from tests.training import fit_of
from utils.data_utils import VectorFeatures, window_edges
from utils.data_utils.clip_track_features import features_of_clip


def test_moments_by_hand():
    moments = CodeMoments(2, 1, torch.device("cpu"))
    moments.add(
        torch.tensor([0, 1, 0]), torch.tensor([[[1.0], [3.0]], [[5.0], [0.0]], [[8.0], [0.0]]]), torch.tensor([2, 1, 1])
    )
    mean, deviation = moments.of_tracks()
    assert mean.flatten().tolist() == [4.0, 5.0]
    assert deviation.flatten().tolist() == pytest.approx([np.std([1, 3, 8]), 0.0])
    assert moments.of_all()[1].item() == pytest.approx(np.std([1, 3, 8, 5]))
    assert embeddings_of(moments, vectors=False).shape == (2, 2)
    assert embeddings_of(moments, vectors=True).tolist() == [[4.0], [5.0]]


def test_a_large_mean_costs_no_digits_of_the_deviation():
    moments = CodeMoments(1, 1, torch.device("cpu"))
    codes = torch.tensor([[[1000.25], [999.75]]])
    moments.add(torch.tensor([0]), codes, torch.tensor([2]))
    assert moments.of_tracks()[1].item() == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("kind", ["features", "wave", "logmel"])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_embeddings_of_a_split_are_those_of_its_windows_one_by_one(music, kind, batch_size):
    task = fit_of(music.run(kind, f"training.batch_size={batch_size}"))._task
    model, data = task.model().eval(), task.data("val")
    with torch.inference_mode():
        found = task.track_embeddings("val")
        for row, length in enumerate(data.audio.lengths):
            edges = window_edges(int(length), data.audio.max_length)
            codes = []
            for start, stop in itertools.pairwise(edges):
                window = data.audio.batch(np.array([row]), np.array([start]), np.array([stop - start]))
                codes.append(model(window, torch.tensor([stop - start])).own_codes())
            wanted = torch.cat(codes).double()
            pooled = [wanted.mean(0)] if kind == "features" else [wanted.mean(0), wanted.std(0, correction=0)]
            np.testing.assert_allclose(found[row], torch.cat(pooled), rtol=1e-4, atol=1e-5)
    assert found.shape == (len(data.clips), task.embedding_dim)


@pytest.mark.parametrize("kind", ["features", "wave", "logmel"])
def test_a_file_is_embedded_as_the_track_of_a_split(music, kind):
    task = fit_of(music.run(kind))._task
    task.model().eval()
    data = task.data("eval")
    paths = [music.folder / "corpus" / clip.path for clip in data.clips[:3]]
    if kind == "features":  # those of the corpus are not of its sounds
        sounds = [features_of_clip(music.folder / "corpus", clip) for clip in data.clips[:3]]
        data.audio = VectorFeatures(np.stack(sounds))
    done = []
    with torch.inference_mode():
        wanted = task.track_embeddings("eval")
        found = task.sounds([*paths, music.folder / "missing.wav"], 1, done.append)
    np.testing.assert_allclose(found.embeddings[:3], wanted[:3], rtol=1e-4, atol=1e-5)
    assert list(found.refused) == [3]
    assert not found.embeddings[3].any()
    assert sum(done) == 4


def test_long_tracks_are_read_by_offset(music, monkeypatch):
    """A window of the 3 s track decodes half a second and what the resampler needs around it."""
    from utils.audio_utils import decoding, windows

    read = []
    blocks = decoding.checked_blocks

    def counted(sound, block_s, *start):
        for block in blocks(sound, block_s, *start):
            read.append(len(block))
            yield block

    monkeypatch.setattr(windows, "checked_blocks", counted)
    run = music.run("wave", "data.max_duration_s=0.25")
    data = fit_of(run)._task.data("train")
    read.clear()
    long = int(np.argmax(data.audio.lengths))
    data.audio.batch(np.array([long]), np.array([30_000]), np.array([data.audio.max_length]))
    assert data.audio.lengths[long] == 48_000
    assert sum(read) == 4000


def test_one_track_in_memory():
    track = OneTrack(np.arange(10, dtype=np.float32).reshape(5, 2), 3)
    batch = track.batch(np.array([0, 0]), np.array([0, 3]), np.array([3, 2]))
    assert batch[:, :, 0].tolist() == [[0, 2, 4], [6, 8, 0]]
    assert track.width == 2
    assert OneTrack(np.zeros(4, np.float32), 3).width == 1
