"""Batches: padded with the floor, equal clips once, every frame in a window; files that do not fit are named."""

import itertools

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.utils.data_utils.corpus import CAPTIONS, FRAMES, Corpus, features
from utils.audio_utils import FrontEnd
from utils.cli_utils import ArtefactError
from utils.data_utils import (
    AudioBatches,
    CaptionDataSpec,
    CaptionedClips,
    PairBatch,
    SamplingSpec,
    TrainLoader,
    audio_loader,
    window_edges,
)


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def pairs(captions, starts=None):
    return PairBatch(np.array(captions), np.array(starts or [0] * len(captions)))


def test_a_batch_holds_each_clip_once_padded_with_the_floor(corpus):
    clips = corpus.opened()
    batch = clips[pairs([7, 1, 0, 2])]  # clips 4, 1, 0, 1
    assert batch["clip_ids"].tolist() == [4, 1, 0, 1]
    assert batch["lengths"].tolist() == [30, 7, 1]
    assert batch["clip_index"].tolist() == [2, 1, 0, 1]
    assert batch["audio"].shape == (3, 30, 40)
    assert batch["audio"].dtype == torch.float32
    for row, clip in enumerate([0, 1, 4]):
        np.testing.assert_array_equal(batch["audio"][row, : FRAMES[clip]], features(clip))
        assert (batch["audio"][row, FRAMES[clip] :] == np.float32(corpus.data.front_end.floor)).all()
    np.testing.assert_array_equal(batch["text"], [[7] * 3, [1] * 3, [0] * 3, [2] * 3])


def test_a_long_clip_is_cut_where_the_batch_says(corpus):
    batch = corpus.opened()[pairs([0, 3, 5, 6], [0, 149, 149, 0])]
    assert batch["lengths"].tolist() == [30, 101, 101]  # clip 3 has just as many frames as a window
    np.testing.assert_array_equal(batch["audio"][1], features(2)[149:250])
    np.testing.assert_array_equal(batch["audio"][2], features(3))


def test_float16_features_come_as_float32(tmp_path):
    batch = Corpus(tmp_path, "float16").opened()[pairs([0, 3])]
    assert batch["audio"].dtype == torch.float32
    np.testing.assert_array_equal(batch["audio"][0, :30], features(0).astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(batch["audio"][1], features(2)[:101], rtol=2**-11)


@hypothesis_settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(1, 100_000), st.integers(1, 5000))
def test_windows_leave_nothing_out(frames, max_frames):
    edges = window_edges(frames, max_frames)
    lengths = np.diff(edges)
    assert (edges[0], edges[-1]) == (0, frames)
    assert len(lengths) == -(-frames // max_frames)  # as few as possible
    assert lengths.min() >= 1
    assert lengths.max() <= max_frames
    assert lengths.max() - lengths.min() <= 1


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_evaluation_goes_through_every_frame_once(corpus, batch_size):
    clips = corpus.opened()
    windows = np.stack(clips.windows(), axis=1).tolist()
    assert windows[2:5] == [[2, 0, 83], [2, 83, 84], [2, 167, 83]]
    seen = {clip: [] for clip in range(6)}
    loader = audio_loader(clips.audio, batch_size)
    for batch in loader:
        assert batch["audio"].shape[0] * batch["audio"].shape[1] <= batch_size * 101
        for row, length, clip in zip(batch["audio"], batch["lengths"].tolist(), batch["clip"].tolist(), strict=True):
            seen[clip].append(row[:length].numpy())
            assert (row[length:] == np.float32(corpus.data.front_end.floor)).all()
    for clip, windows in seen.items():
        found = sorted(np.concatenate(windows).tolist())
        assert found == sorted(features(clip).tolist())
    assert len(loader) == len(AudioBatches(clips.audio, batch_size))


def same(batches, others):
    for batch, other in itertools.zip_longest(batches, others):
        assert batch.keys() == other.keys()
        assert all(torch.equal(batch[key], other[key]) for key in batch)


def test_workers_make_the_same_batches(corpus):
    clips = corpus.opened()
    by_clip = SamplingSpec(by="clip", captions_per_clip=2)
    here = TrainLoader(clips, clips.pair_sampler(2, 5, by_clip))
    there = TrainLoader(clips, clips.pair_sampler(2, 5, by_clip), workers=2)
    for epoch in range(3):
        here.set_epoch(epoch)
        there.set_epoch(epoch)  # the workers stay from epoch to epoch
        same(here, there)
    assert len(here) == len(there) == 3
    here, there = audio_loader(clips.audio, 2), audio_loader(clips.audio, 2, workers=2)
    for _ in range(2):
        same(here, there)


def test_the_workers_of_evaluation_stay_and_leave_the_random_numbers_of_training_alike(corpus):
    clips = corpus.opened()

    def state_after_pass(workers):
        assert sum(len(batch["clip"]) for batch in audio_loader(clips.audio, 2, workers)) == len(clips.windows().clips)
        return torch.get_rng_state()

    torch.manual_seed(4)
    alone = [state_after_pass(0), state_after_pass(0)]
    torch.manual_seed(4)
    processes = []
    for wanted in alone:
        assert torch.equal(state_after_pass(1), wanted)
        processes.append([worker.pid for worker in audio_loader(clips.audio, 2, 1)._loader._iterator._workers])
    assert processes[0] == processes[1]
    assert not torch.equal(*alone)
    assert audio_loader(clips.audio, 3, 1) is not audio_loader(clips.audio, 2, 1)


def test_training_sees_all_of_a_long_clip_but_no_more_than_a_window_at_a_time(corpus):
    clips = corpus.opened()
    loader = TrainLoader(clips, clips.pair_sampler(4, 0, SamplingSpec()))
    seen = np.zeros(250, bool)
    long = features(2)
    for epoch in range(300):
        loader.set_epoch(epoch)
        for batch in loader:
            assert batch["audio"].shape[1] <= 101
            for row, clip in enumerate(batch["clip_ids"].unique().tolist()):
                if clip == 2:
                    start = int(np.flatnonzero((long == batch["audio"][row, 0].numpy()).all(axis=1))[0])
                    np.testing.assert_array_equal(batch["audio"][row, :101], long[start : start + 101])
                    seen[start : start + 101] = True
    assert seen.all()


@pytest.mark.parametrize(("clip", "value"), [(1, np.nan), (2, np.inf), (4, -np.inf)])
def test_a_feature_that_is_not_finite_is_named_by_clip_and_file(corpus, clip, value):
    corpus.features[clip][-1, 3] = value
    corpus.data.logmels("x").unlink()
    corpus.write()
    clips = corpus.opened()
    message = rf"x_audio_logmels\.hdf5: the features of clip f{clip} \(clip {clip}\.wav\) hold NaN or infinite values"
    with pytest.raises(
        ArtefactError, match=message + r"; .*: remove the file, then <make tables>, then <make log-mels>"
    ):
        clips.check()
    with pytest.raises(ArtefactError, match=message):
        clips[pairs([0, CAPTIONS.index(clip)], [0, max(0, FRAMES[clip] - 101)])]
    clips[pairs([0, 8])]  # the others are well


def refused(corpus, message):
    with pytest.raises(ArtefactError, match=message):
        corpus.opened()


def test_a_clip_of_far_more_frames_than_its_duration_has_is_refused(corpus):
    path = corpus.data.logmels("x")
    for frames, whole in ((302, True), (303, False), (10**6, False)):  # 1 s is 101 frames; twice, and 100
        with h5py.File(path, "r+") as file:
            del file["f2"]
            zeros = np.zeros((frames, 40), np.float32)
            file.create_dataset("f2", data=zeros, chunks=(100, 40), compression="gzip")
        if whole:
            assert corpus.opened().audio.lengths[2] == frames
        else:
            refused(corpus, rf"clip f2 \(clip 2\.wav\) has {frames} frames, expected 101 of its 1 s; remove the file")


def test_ids_that_do_not_match_are_named_with_the_command(corpus):
    del corpus.vectors["t3"]
    corpus.write()
    refused(
        corpus,
        r"sbert_embeds\.pkl: no embedding for 1 of 10 captions, the first is tid t3; "
        r"add them: <make text-embeddings>",
    )
    corpus.clips.append(corpus.clips[0]._replace(fid="f9"))
    corpus.write()
    refused(
        corpus,
        r"x_audio_logmels\.hdf5: no features for 1 of 7 clips, the first is fid f9; "
        r"add them: <make log-mels>",
    )
    corpus.clips.pop()
    corpus.captions[0] = corpus.captions[0]._replace(fid="f77")
    corpus.write()
    refused(
        corpus,
        r"split 'x': caption t0 names clip f77, which audio_info\.pkl does not hold; "
        r"write both again: <make tables>",
    )


def test_files_made_with_other_settings_are_refused(corpus):
    other = corpus.data.model_copy(update={"front_end": FrontEnd.model_validate({"name": "panns"})})
    with pytest.raises(
        ArtefactError,
        match=r"x_audio_logmels\.hdf5: front-end is .*n_mels 40.*, this run wants .*n_mels 64.*; "
        r"write it again: <make log-mels>",
    ):
        CaptionedClips(other, "x")
    other = CaptionDataSpec(**corpus.data.model_dump() | {"text_embeddings": {"model": "n"}})
    with pytest.raises(
        ArtefactError,
        match=r"sbert_embeds\.pkl: text model is m, this run wants n; "
        r"write it again: <make text-embeddings>",
    ):
        CaptionedClips(other, "x")


@pytest.mark.parametrize("name", ["audio_info.pkl", "x_text.csv", "x_audio_logmels.hdf5", "sbert_embeds.pkl"])
def test_a_missing_file_is_named_with_its_command(corpus, name):
    (corpus.data.features / name).unlink()
    refused(corpus, rf"{name}: no such file; write it: <make (tables|log-mels|text-embeddings)>")


def test_an_empty_split_is_refused(corpus):
    corpus.captions.clear()
    corpus.write()
    refused(corpus, r"x_text\.csv: holds no captions")
