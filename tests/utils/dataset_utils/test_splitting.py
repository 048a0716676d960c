"""Splits by a hash of the content: later clips move no earlier one, and equal content stays together."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.dataset_utils.splitting import (
    assign_splits,
    content_keys,
    fair_seed,
    recording_of,
    recordings_of,
    split_keys,
)

SHARES = {"development": 0.8, "validation": 0.1, "evaluation": 0.1}


def write_files(folder, names):
    """Files whose content is their name, so that each has its own."""
    for name in names:
        (folder / name).write_text(name)
    return [folder / name for name in names]


def splits_of(files, seed=0):
    keys = split_keys(content_keys(files), recordings_of(files))
    of_key = assign_splits(keys.values(), SHARES, seed)
    return {file.name: of_key[key] for file, key in keys.items()}


def test_ten_more_clips_move_no_earlier_one(tmp_path):
    early = write_files(tmp_path, [f"{n}.wav" for n in range(290)])
    before = splits_of(early)
    late = write_files(tmp_path, [f"0 {n}.wav" for n in range(10)])  # names that sort before the others
    after = splits_of([*late, *early])
    assert {name: after[name] for name in before} == before
    counts = Counter(before.values())
    # 4 standard deviations of a binomial count of 290: 4 sqrt(290 0.1 0.9) = 20.4
    assert abs(counts["validation"] - 29) < 21
    assert abs(counts["evaluation"] - 29) < 21


def test_a_name_or_a_folder_does_not_move_a_clip(tmp_path):
    files = write_files(tmp_path, [f"{n}.wav" for n in range(50)])
    before = list(splits_of(files).values())
    (tmp_path / "folder").mkdir()
    moved = [file.rename(tmp_path / "folder" / f"renamed {file.name}") for file in files]
    assert list(splits_of(moved).values()) == before


def test_the_split_of_a_content_never_changes():
    """Values of today: other ones would move the clips of every data set that was made before."""
    keys = ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert assign_splits(keys, {"x": 0.5, "y": 0.5}) == dict(zip(keys, VALUES_OF_TODAY, strict=True))


VALUES_OF_TODAY = "xxxyxyyy"


def test_equal_content_is_in_one_split(tmp_path):
    files = write_files(tmp_path, [f"{n}.wav" for n in range(60)])
    copies = [file.with_name(f"copy of {file.name}") for file in files]
    for file, copy in zip(files, copies, strict=True):
        copy.write_bytes(file.read_bytes())
    found = splits_of([*files, *copies])
    assert all(found[file.name] == found[copy.name] for file, copy in zip(files, copies, strict=True))
    assert len(set(found.values())) == 3


def test_cuts_of_one_recording_are_in_one_split(tmp_path):
    files = write_files(tmp_path, [f"dog 1-{n}-{take}.ogg" for n in range(60) for take in "ABC"])
    found = splits_of(files)
    assert all(len({found[f"dog 1-{n}-{take}.ogg"] for take in "ABC"}) == 1 for n in range(60))
    assert len(set(found.values())) == 3


def test_equal_content_in_two_groups_joins_the_groups(tmp_path):
    a, b, c, d, e = write_files(tmp_path, ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav"])
    d.write_bytes(b.read_bytes())
    keys = split_keys(content_keys([a, b, c, d, e]), {a: "one", b: "one", c: "two", d: "two"})
    assert len({keys[file] for file in (a, b, c, d)}) == 1
    assert keys[e] not in {keys[file] for file in (a, b, c, d)}


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("1-187207-A.wav", "1-187207"),
        ("folder/baby cry 2-50666-B.ogg", "2-50666"),
        ("Yabcdefghijk_30.000_40.000.wav", "abcdefghijk"),
        ("abcdefghijk_30_40.flac", "abcdefghijk"),
        ("-bcdefghij__30000_40000.m4a", "-bcdefghij_"),
        ("dog_1.wav", None),
        ("baby_crying_01.wav", None),  # eleven characters and a number
        ("baby_crying_01_02_03.wav", None),
        ("dog_barking_3_7.wav", None),
        ("2024-01-B.wav", None),
        ("abcdefghijk_40_30.wav", None),  # ends before it starts
    ],
)
def test_the_recording_in_a_name(name, recording):
    assert recording_of(name) == recording


def test_a_small_set_gets_a_seed_that_leaves_no_split_empty():
    empty = 0
    for start in range(40):
        keys = [f"clip {start} {n}" for n in range(20)]
        empty += len(set(assign_splits(keys, SHARES).values())) < 3
        seed = fair_seed(keys, SHARES)
        counts = Counter(assign_splits(keys, SHARES, seed).values())
        assert counts["development"] >= 8
        assert min(counts["validation"], counts["evaluation"]) >= 1
    assert empty > 2  # 1 - 0.9^20 leaves each of the two empty in one draw of eight


def test_hundreds_of_clips_take_the_first_seed():
    assert fair_seed([f"clip {n}" for n in range(290)], SHARES) == 0
    assert fair_seed(["one recording"] * 290, SHARES) is None
    assert fair_seed(["a", "b"], SHARES) is None


@given(st.sets(st.text(), min_size=1, max_size=30), st.integers(0, 5))
def test_each_key_is_assigned_alone(keys, seed):
    together = assign_splits(keys, SHARES, seed)
    assert all(assign_splits([key], SHARES, seed) == {key: together[key]} for key in keys)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    there = write_files(tmp_path, ["a.wav"])
    keys = content_keys([*there, tmp_path / "gone.wav"], workers=2)
    assert keys[tmp_path / "gone.wav"] == "unreadable gone.wav"
