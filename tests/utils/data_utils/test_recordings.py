"""Recordings are known again under other fids, and only then."""

from utils.artefact_utils import Clip
from utils.data_utils.recordings import recordings_of

CLIP = Clip("a1", "dog.wav", "x/dog.wav", 1.5, 16_000, 1, "dog", "5f5f")


def identity(**changes):
    (found,) = recordings_of([CLIP._replace(**changes)])
    return found


def test_a_recording_is_known_by_its_samples_alone():
    assert recordings_of([CLIP]) == {identity(): "dog.wav"}
    assert identity(fid="b2", path="y/cat.wav", fname="cat.wav", source_id="7") == identity()
    assert identity(sound="5f60") != identity()
    assert len(identity()) == 16


def test_what_has_no_mark_of_its_own_is_known_by_its_path():
    """Silence has no digest, and the mark of a picture (of no duration) is that of every plain one."""
    for changes in ({"sound": ""}, {"duration_s": 0.0}):
        assert identity(**changes, fid="b2") == identity(**changes)
        assert identity(**changes, path="y/dog.wav") != identity(**changes)
    assert identity(sound="", duration_s=2.0) != identity(sound="")


def test_names_that_are_no_utf8_are_taken():
    assert len(identity(sound="", path="caf\udce9.wav")) == 16


def test_the_same_recording_twice_is_one():
    assert len(recordings_of([CLIP, CLIP._replace(fid="b2"), CLIP._replace(fid="c3", sound="60")])) == 2
