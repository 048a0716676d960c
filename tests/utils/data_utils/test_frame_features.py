"""Frames of a frozen encoder, as the script writes them, in the batches of a loader."""

import pickle
import shutil

import h5py
import numpy as np
import pytest
import torch

from tests.preprocessing import embedding_corpus
from utils.artefact_utils import read_frames
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import parse
from utils.data_utils import AudioClips, AudioDataSpec, ClipBatch, TrainLoader, audio_loader

SPLIT = "development"
MAKE_FRAMES = "<make audio-embeddings --frames>"


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    """Frames in float16 of the tiny corpus, one of whose clips is too short and one longer than a window."""
    folder = tmp_path_factory.mktemp("frames")
    embedding_corpus.write_raw(folder)
    corpus = embedding_corpus.Corpus(folder)
    names = sorted(path.name for path in (folder / "corpus" / SPLIT).iterdir())
    rng = np.random.default_rng(0)
    corpus.write(names[0], rng.uniform(-0.5, 0.5, 100))
    corpus.write(names[1], rng.uniform(-0.5, 0.5, 3 * 44_100))
    corpus.tables()
    assert corpus.run("--frames") == 0
    return corpus


@pytest.fixture
def data(_made):
    keys = {"root", "features", "splits", "max_duration_s", "front_end", "audio_embeddings"}
    return parse({key: value for key, value in _made.mapping["data"].items() if key in keys}, AudioDataSpec, "x.yaml")


@pytest.fixture
def written(data):
    """fid -> (T, D) float32, read by h5py alone."""
    with h5py.File(data.audio_frames(SPLIT)) as file:
        return {fid: file[fid][:].astype(np.float32) for fid in file}


def test_a_batch_holds_the_frames_padded_with_zeros(data, written, capsys):
    clips = AudioClips(data, SPLIT, "frames")
    assert "1 clips are left out, which the encoder refuses, such as: too short" in capsys.readouterr().out
    assert len(clips) == len(written) == 7
    assert next(iter(clips.left_out.values())).startswith("too short: 2.2 ms")
    assert clips.revisions["audio"].startswith("sha256:")
    assert clips.audio_made_with["kind"] == "frames"
    assert clips.audio.lengths.tolist() == [len(written[fid]) for fid in clips.fids]
    assert clips.audio.width == 16
    rows = np.arange(7)
    batch = clips[ClipBatch(rows, np.zeros(7, np.int64))]
    assert batch["audio"].dtype == torch.float32
    for row, (fid, length) in enumerate(zip(clips.fids, batch["lengths"].tolist(), strict=True)):
        np.testing.assert_array_equal(batch["audio"][row, :length], written[fid][:length])
        assert (batch["audio"][row, length:] == 0).all()
    clips.check()


def test_a_clip_longer_than_a_window_is_cut_and_evaluated_whole(data, written):
    """3 s in windows of 1 s: a third of its frames at a time, and all of them at evaluation."""
    clips = AudioClips(data, SPLIT, "frames")
    longest = int(clips.audio.lengths.argmax())
    assert clips.audio.max_length == round(clips.audio.lengths[longest] / 3)
    loader = TrainLoader(clips, clips.sampler(2, seed=0))
    for batch in loader:
        assert batch["audio"].shape[1] <= clips.audio.max_length
    seen = {clip: [] for clip in range(len(clips))}
    for batch in audio_loader(clips.audio, 2):
        for row, (clip, length) in enumerate(zip(batch["clip"].tolist(), batch["lengths"].tolist(), strict=True)):
            seen[clip].append(batch["audio"][row, :length].numpy())
    for clip, fid in enumerate(clips.fids):
        found = np.concatenate(seen[clip])
        assert len(found) == len(written[fid])
        np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(written[fid], axis=0))


def test_only_what_is_sliced_is_read_in_whatever_process(data):
    """Views of the mapped file, not copies; they can be handed to the workers of a loader."""
    clips = AudioClips(data, SPLIT, "frames")
    view = clips.audio.views[0]
    assert view.dtype == np.float16
    assert not view.flags.owndata
    here = list(TrainLoader(clips, clips.sampler(3, seed=1)))
    there = list(TrainLoader(pickle.loads(pickle.dumps(clips)), clips.sampler(3, seed=1), workers=1))  # noqa: S301
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_frames_that_other_settings_made_are_refused(data):
    other = data.model_copy(update={"audio_embeddings": data.audio_embeddings.model_copy(update={"layers": 1})})
    message = rf"development_audio_frames\.hdf5: layers is all, this run wants 1; write it again: {MAKE_FRAMES}"
    with pytest.raises(ArtefactError, match=message):
        AudioClips(other, SPLIT, "frames")
    with pytest.raises(ArtefactError, match="its longest window is 1 s, this run wants"):
        AudioClips(data.model_copy(update={"max_duration_s": 2.0}), SPLIT, "frames")
    with pytest.raises(ConfigError, match=r"data\.audio_embeddings is not set; name the encoder"):
        AudioClips(data.model_copy(update={"audio_embeddings": None}), SPLIT, "frames")


@pytest.fixture
def copied(data, tmp_path):
    """The same features, to be spoiled."""
    shutil.copytree(data.features, tmp_path / "features")
    return data.model_copy(update={"features": tmp_path / "features"})


def test_damage_is_named(copied):
    clips = AudioClips(copied, SPLIT, "frames")
    first, second = clips.fids[:2]
    path = copied.audio_frames(SPLIT)
    with h5py.File(path, "r+") as file:
        file[first][0, 3] = np.nan
    with pytest.raises(ArtefactError, match=rf"the frames of clip {first} \(.*\.wav\) hold NaN or infinite values"):
        AudioClips(copied, SPLIT, "frames").check()
    with h5py.File(path, "r+") as file:
        del file[second]
        file[second] = np.ones((4, 9), np.float16)
    with pytest.raises(ArtefactError, match=r"have 9 dimensions, those of .* 16, expected one dimension for all"):
        AudioClips(copied, SPLIT, "frames")
    with h5py.File(path, "r+") as file:
        del file[second]
    with pytest.raises(ArtefactError, match=rf"no frames for 1 of 7 clips, the first is fid {second}; add them"):
        AudioClips(copied, SPLIT, "frames")
    path.unlink()
    with pytest.raises(ArtefactError, match=rf"development_audio_frames\.hdf5: no such file; write it: {MAKE_FRAMES}"):
        AudioClips(copied, SPLIT, "frames")


def test_pictures_have_no_duration_and_are_not_cut(data):
    """Whatever the frames are of: ids in, (T, D) out; without a longest window any input will do."""
    clips = AudioClips(data, SPLIT, "frames")
    source = data.frames_source(SPLIT)._replace(max_duration_s=None, front_end=None)
    table = read_frames(source, [*clips.fids, *clips.left_out])
    assert table.held.tolist() == [True] * 7 + [False]
    assert table.lengths.tolist() == clips.audio.lengths.tolist()
    assert table.width == 16
