"""The list of dicts as a whole split."""

import pickle

import numpy as np
import pytest

from utils.artefact_utils import Caption, Clip, Pairs, load_pickle, read_pairs, write_pairs
from utils.cli_utils import ArtefactError
from utils.data_utils.recordings import recordings_of

CLIPS = [Clip(f"f{n}", f"{n}.wav", f"val/{n}.wav", 1.0, 16_000, 1, f"{n}.wav") for n in range(2)]
CAPTIONS = [
    Caption(f"t{n}", f"f{clip}", f"{clip}.wav", f"A dog {n}, barking", f"a dog {n} barking", f"id{n}")
    for n, clip in enumerate([1, 0, 1, 9])
]
AUDIO = np.arange(6, dtype=np.float32).reshape(2, 3)
TEXT = -np.arange(8, dtype=np.float32).reshape(4, 2)
ROW = {
    "uniq_id": 7,
    "audio_embedding": AUDIO[0],
    "text_embedding": TEXT[0],
    "text": "A dog, barking",
    "audio_path": "audio/val/0.flac",
}


def written(path, rows):
    path.write_bytes(pickle.dumps(rows))
    return path


def test_one_row_a_caption_with_the_vectors_of_both(tmp_path):
    write_pairs(tmp_path / "x.pkl", Pairs(CLIPS, CAPTIONS, AUDIO, TEXT), {"model": "m"})
    rows, notes = load_pickle(tmp_path / "x.pkl", "")
    assert notes == {"format_version": 1, "model": "m"}
    assert len(rows) == 3  # the fourth caption's clip is not there
    assert list(rows[0]) == ["uniq_id", "audio_embedding", "text_embedding", "text", "audio_path"]
    assert [(r["uniq_id"], r["text"], r["audio_path"]) for r in rows] == [
        ("id0", "A dog 0, barking", "val/1.wav"),
        ("id1", "A dog 1, barking", "val/0.wav"),
        ("id2", "A dog 2, barking", "val/1.wav"),
    ]
    np.testing.assert_array_equal([r["audio_embedding"] for r in rows], AUDIO[[1, 0, 1]])
    np.testing.assert_array_equal([r["text_embedding"] for r in rows], TEXT[:3])


def test_what_is_written_is_read(tmp_path):
    write_pairs(tmp_path / "x.pkl", Pairs(CLIPS, CAPTIONS, AUDIO, TEXT), {})
    pairs = read_pairs(tmp_path / "x.pkl")
    assert [clip.path for clip in pairs.clips] == ["val/1.wav", "val/0.wav"]
    assert [clip.fname for clip in pairs.clips] == ["1.wav", "0.wav"]
    first, second = (clip.fid for clip in pairs.clips)
    assert [caption.fid for caption in pairs.captions] == [first, second, first]
    assert [caption.raw_text for caption in pairs.captions] == [c.raw_text for c in CAPTIONS[:3]]
    assert len({first, second, *(caption.tid for caption in pairs.captions)}) == 5
    np.testing.assert_array_equal(pairs.audio, AUDIO[[1, 0]])
    np.testing.assert_array_equal(pairs.text, TEXT[:3])
    assert pairs.audio.dtype == pairs.text.dtype == np.float32
    assert read_pairs(tmp_path / "x.pkl").clips == pairs.clips


def test_ids_come_from_names_and_rows_that_are_equal_stay_apart(tmp_path):
    pairs = read_pairs(written(tmp_path / "x.pkl", [ROW, dict(ROW), ROW | {"audio_path": "audio/val/1.flac"}]))
    assert len(pairs.clips) == 2
    assert len({caption.tid for caption in pairs.captions}) == 3
    assert pairs.captions[0].source_id == "7"
    alone = read_pairs(written(tmp_path / "y.pkl", [ROW]))
    assert alone.clips[0].fid == pairs.clips[0].fid


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": None}, "row 1 has no text, expected uniq_id, audio_embedding"),
        ({"audio_embedding": None, "uniq_id": None}, "row 1 has no uniq_id, audio_embedding, expected"),
        ({"audio_embedding": AUDIO[1]}, "row 1 gives audio/val/0.flac another audio_embedding than row 0, expected"),
        (
            {"audio_embedding": AUDIO[0][:2], "audio_path": "b"},
            "audio_embedding of 7' has 2 dimensions, that of 'audio",
        ),
        ({"audio_path": "\ud800.wav"}, "row 1 has half of a surrogate pair in its audio_path, expected characters"),
        ({"text_embedding": AUDIO[0]}, "text_embedding of 7' has 3 dimensions, that of 'text_embedding of 7' has 2"),
        ({"text_embedding": TEXT}, r"text_embedding of 7' is float32 (4, 2), expected floats (D,); these are frames"),
        ({"text_embedding": "a"}, "text_embedding of 7' is <U1 (), expected floats (D,)"),
        ({"text_embedding": [1.0, np.inf]}, "text_embedding of 7' holds NaN or infinite values"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, change, message):
    second = {key: value for key, value in (ROW | change).items() if value is not None}
    path = written(tmp_path / "x.pkl", [ROW, second])
    with pytest.raises(ArtefactError) as error:
        read_pairs(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "correct data.pairs" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "found dict, expected a list of dicts"),
        ([], "found an empty list, expected"),
        ([3], "row 0 has no uniq_id"),
    ],
)
def test_pickles_that_are_no_such_list(tmp_path, rows, message):
    with pytest.raises(ArtefactError, match=message):
        read_pairs(written(tmp_path / "x.pkl", rows))
    with pytest.raises(ArtefactError, match=r"no such file; correct data\.pairs"):
        read_pairs(tmp_path / "none.pkl")


def test_a_clip_is_known_again_by_its_path_and_its_vector(tmp_path):
    """Lists have no fids of ours: the same path of another corpus, or of another encoder, is another recording."""
    found = []
    for vector, path in ((AUDIO[0], "a.wav"), (AUDIO[1], "a.wav"), (AUDIO[0], "b.wav"), (AUDIO[0], "a.wav")):
        rows = [{**ROW, "audio_embedding": vector, "audio_path": path}]
        (identity,) = recordings_of(read_pairs(written(tmp_path / "x.pkl", rows)).clips)
        found.append(identity)
    assert found[0] == found[3]
    assert len(set(found)) == 3
