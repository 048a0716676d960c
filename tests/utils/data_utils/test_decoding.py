"""Clips decoded ahead: all of them, in their order, few at a time."""

import threading

import numpy as np
import pytest
import soundfile

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError, read_wave
from utils.data_utils.decoding import clip_batches, decoded_batches
from utils.image_utils import ImageError


def clip(number, seconds=1.0):
    return Clip(f"f{number}", f"{number}.wav", f"{number}.wav", seconds, 8000, 1, "")


def test_batches_hold_so_many_clips_or_so_many_seconds():
    clips = [clip(n, s) for n, s in enumerate([50.0, 9.0, 8.0, 4.0, 1.0, 1.0, 1.0, 1.0])]
    batches = list(clip_batches(clips, 3, 20.0))
    assert [[c.duration_s for c in batch] for batch in batches] == [[50], [9, 8], [4, 1, 1], [1, 1]]
    assert [c for batch in batches for c in batch] == clips
    assert list(clip_batches([], 3, 20.0)) == []


@pytest.fixture
def root(tmp_path):
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", np.full(80, 0.1 * number), 8000, subtype="FLOAT")
    (tmp_path / "2.wav").write_bytes(b"no sound")
    return tmp_path


def reader(root):
    return lambda one: read_wave(root / one.path, 8000)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_clip_comes_with_its_wave_or_its_reason(root, workers):
    batches = [[clip(0), clip(1)], [clip(2), clip(3)], [clip(4)], [clip(5)]]
    decoded = list(decoded_batches(batches, reader(root), workers))
    assert [[c for c, _ in batch] for batch in decoded] == batches
    for found, wave in (pair for batch in decoded for pair in batch):
        if found.fid == "f2":
            assert "cannot be decoded" in wave
        else:
            np.testing.assert_allclose(wave, np.full(80, 0.1 * int(found.fid[1:])), atol=1e-6)


def test_one_batch_is_decoded_ahead_and_no_more():
    started = []
    batches = decoded_batches([[clip(n)] for n in range(6)], lambda one: started.append(one.fid), 2)
    for number in range(4):
        next(batches)
        assert len(started) <= number + 2
    batches.close()
    assert threading.active_count() < 10
    assert len(started) <= 5


def test_clips_are_prepared_in_the_threads(root):
    def prepared(one):
        if one.fid == "f3":
            raise ImageError("is no picture")
        wave = reader(root)(one)
        if wave[0] > 0.35:
            raise AudioError("too loud")
        return [len(wave), threading.current_thread() is not threading.main_thread()]

    ((_, quiet), (_, broken), (_, picture), (_, loud)) = next(
        decoded_batches([[*map(clip, (1, 2, 3, 4))]], prepared, 2)
    )
    assert quiet == [80, True]
    assert "cannot be decoded" in broken
    assert (picture, loud) == ("is no picture", "too loud")
