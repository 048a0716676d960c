"""Splits of labelled recordings: nothing alike is torn apart, every category is everywhere, what was stays."""

from __future__ import annotations

from collections import Counter

import pytest

from utils.cli_utils import UserError
from utils.data_utils.spec import SplitsSpec
from utils.dataset_utils.labelled_splits import check_splits, groups_of, named_splits, shared_out
from utils.dataset_utils.video_list import ListedRecording

SHARES = {"train": 0.6, "val": 0.2, "eval": 0.2}
SPLITS = SplitsSpec(train="train", val="val", eval="eval")


def many(*counts: int, **values: object) -> list[ListedRecording]:
    rows = [(f"c{category}", n) for category, count in enumerate(counts) for n in range(count)]
    return [
        ListedRecording(f"{name}-{n}", name, path=f"{name}/{n}.wav", where="x")._replace(**values) for name, n in rows
    ]


def alone(rows, pairs=(), sounds=None, by_channel=True):
    return groups_of(rows, sounds or [""] * len(rows), pairs, by_channel=by_channel)


def test_every_category_has_its_shares():
    rows = many(50, 10, 5)
    found = shared_out(rows, SHARES, 0, alone(rows), {}).splits
    counts = Counter(zip((row.category for row in rows), found, strict=True))
    assert [counts["c0", split] for split in SHARES] == [30, 10, 10]
    assert [counts["c1", split] for split in SHARES] == [6, 2, 2]
    assert [counts["c2", split] for split in SHARES] == [3, 1, 1]


def test_another_seed_shares_out_otherwise_the_same_one_alike():
    rows = many(30, 30)
    first = shared_out(rows, SHARES, 0, alone(rows), {}).splits
    assert shared_out(rows, SHARES, 0, alone(rows), {}).splits == first
    assert shared_out(rows, SHARES, 1, alone(rows), {}).splits != first
    turned = rows[::-1]
    assert shared_out(turned, SHARES, 0, alone(turned), {}).splits == first[::-1]


def test_two_and_three_recordings_train_and_measure():
    rows = many(2, 3)
    found = shared_out(rows, SHARES, 0, alone(rows), {}).splits
    assert sorted(found[:2]) == ["eval", "train"]
    assert sorted(found[2:]) == ["eval", "train", "val"]


def test_what_is_alike_is_in_one_split():
    rows = many(40)
    rows = [row._replace(channel=f"channel {n % 8}" if n < 24 else "") for n, row in enumerate(rows)]
    rows[30] = rows[30]._replace(path=rows[31].path)  # two sections of one file
    sounds = [""] * 40
    sounds[32] = sounds[33] = "same"
    found = shared_out(rows, SHARES, 0, alone(rows, [(34, 35), (35, 36)], sounds), {}).splits
    assert all(found[n] == found[n % 8] for n in range(24))
    assert found[30] == found[31]
    assert found[32] == found[33]
    assert found[34] == found[35] == found[36]
    assert Counter(found).keys() == SHARES.keys()
    assert 18 <= Counter(found)["train"] <= 30


def test_takes_of_one_recording_are_a_group_by_their_names():
    rows = many(4)
    names = ["1-187207-A", "1-187207-B", "1-187208-A", "x"]
    rows = [row._replace(path=f"dog {name}.ogg") for row, name in zip(rows, names, strict=True)]
    assert list(alone(rows).members().values()) == [[0, 1], [2], [3]]


def test_recordings_without_channel_or_sound_are_no_group():
    assert len(alone(many(9)).members()) == 9


def test_a_list_that_grows_moves_nothing():
    few, all_ = many(10, 10), many(40, 10, 7)
    first = shared_out(few, SHARES, 3, alone(few), {}).splits
    earlier = dict(zip((row.id for row in few), first, strict=True))
    found = shared_out(all_, SHARES, 3, alone(all_), earlier)
    assert len(found.lines) == 1
    by_id = dict(zip((row.id for row in all_), found.splits, strict=True))
    assert {id_: by_id[id_] for id_ in earlier} == earlier
    assert Counter(found.splits[:40]) == {"train": 24, "val": 8, "eval": 8}


def test_groups_that_grew_together_are_moved_and_reported():
    rows = many(10)
    earlier = {row.id: "train" if n < 6 else "eval" for n, row in enumerate(rows)}
    found = shared_out(rows, SHARES, 0, alone(rows, [(0, 9), (1, 9)]), earlier)
    assert (found.splits[0], found.splits[1], found.splits[9]) == ("train", "train", "train")
    assert found.lines[1] == "moved into another split, since what is like them is there: 1 recordings"


def test_splits_of_a_list_are_followed_but_for_copies():
    names = ["Training", "train", "dev", "val", "test", "eval"]
    rows = [row._replace(split=name, channel="me") for row, name in zip(many(6), names, strict=True)]
    found = named_splits(rows, SPLITS, alone(rows, [(0, 5), (3, 4)], by_channel=False))
    assert found.splits == ["train", "train", "train", "val", "val", "train"]
    assert found.lines[1].endswith("is there: 2 recordings")
    assert found.lines[2].startswith("1 channels, such as 'me', are in more than one split")


@pytest.mark.parametrize(("name", "said"), [("", "x: no split, others have one;"), ("a", "x: its split is 'a';")])
def test_a_split_that_is_none_is_named(name, said):
    rows = many(2, split="train")
    rows[1] = rows[1]._replace(split=name)
    with pytest.raises(UserError, match=said):
        named_splits(rows, SPLITS, alone(rows))


def test_a_category_that_training_lacks_is_refused():
    rows = many(2, 2)
    with pytest.raises(UserError, match="x: category 'c1' is in 'val', and 'train' has no recording of it; add"):
        check_splits(rows, ["train", "eval", "val", "eval"], ["train", "val", "eval"])


def test_an_empty_split_is_refused():
    rows = many(2, 2)
    with pytest.raises(UserError, match="split 'val' is empty: 4 recordings are too few, or too much alike, for 3"):
        check_splits(rows, ["train", "eval"] * 2, ["train", "val", "eval"])
    with pytest.raises(UserError, match="'val' is empty: the list, or the folders, name test, train alone; give it"):
        check_splits(
            [row._replace(split=split) for row, split in zip(rows, ["train", "test"] * 2, strict=True)],
            ["train", "eval"] * 2,
            ["train", "val", "eval"],
        )
    with pytest.raises(UserError, match="'val' is empty: all recordings are of 1 channels, such as 'me', each of"):
        check_splits([row._replace(channel="me") for row in rows], ["train"] * 4, ["train", "val", "eval"])


def test_a_category_that_is_not_measured_is_said():
    rows = many(3, 2)
    found = check_splits(rows, ["train", "val", "eval", "train", "train"], ["train", "val", "eval"])
    assert found == ["categories without a recording in 'eval', on which nothing is measured: 1 (c1)"]
