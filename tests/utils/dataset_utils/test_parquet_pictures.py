from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.parquet_pictures import extract, find_shards, role_of


def write_shard(path, rows, captions=2):
    """Rows of (name, bytes), in row groups of two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"image": [None if row is None else {"bytes": row[1], "path": row[0]} for row in rows]}
    table |= {f"caption_{n}": [f"caption {n} of row {i}" for i in range(len(rows))] for n in range(captions)}
    pq.write_table(pa.table(table), path, row_group_size=2)


def test_shards_are_found_by_the_split_in_their_names(tmp_path):
    for name in ("train-00001-of-00002-0a1b.parquet", "train-00000-of-00002-0a1b.parquet", "validation.parquet"):
        write_shard(tmp_path / "data" / name, [("a.jpg", b"1")])
    shards = find_shards(tmp_path)
    assert {split: [path.name[:11] for path in paths] for split, paths in shards.items()} == {
        "train": ["train-00000", "train-00001"],
        "validation": ["validation."],
    }
    assert [role_of(name) for name in ("train", "validation", "test", "other")] == [0, 1, 2, None]


def test_pictures_and_captions_come_out_row_by_row(tmp_path):
    rows = [("a.jpg", b"A"), ("sub/../b.png", b"B"), ("a.jpg", b"C"), (None, b"D"), None, ("../../evil", b"F")]
    write_shard(tmp_path / "train-00000-of-00001.parquet", rows)
    found = extract(find_shards(tmp_path), tmp_path / "out")
    names = ["a.jpg", "b.png", "train_000002.jpg", "train_000003.jpg", "train_000005.jpg"]
    assert [file.name for file in found.files["train"]] == names
    assert [file.read_bytes() for file in found.files["train"]] == [b"A", b"B", b"C", b"D", b"F"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert [(c.name, c.raw_text, c.source_id) for c in found.captions[:2]] == [
        ("a.jpg", "caption 0 of row 0", "a.jpg#0"),
        ("a.jpg", "caption 1 of row 0", "a.jpg#1"),
    ]
    assert len(found.captions) == 10
    assert [r.name for r in found.refused["train"]] == ["train_000004.jpg"]


def test_what_is_there_stays_and_what_changed_is_written_again(tmp_path):
    write_shard(tmp_path / "train.parquet", [("a.jpg", b"AA"), ("b.jpg", b"BB")])
    files = extract(find_shards(tmp_path), tmp_path / "out").files["train"]
    before = files[0].stat().st_mtime_ns
    files[1].write_bytes(b"cut")
    extract(find_shards(tmp_path), tmp_path / "out")
    assert files[0].stat().st_mtime_ns == before
    assert files[1].read_bytes() == b"BB"


def test_a_broken_shard_and_other_columns_are_refused(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(UserError, match=r"train\.parquet: cannot be read as parquet \(.*\); copy it again"):
        extract(find_shards(tmp_path), tmp_path / "out")
    pq.write_table(pa.table({"img": ["x"], "text": ["y"]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"found the columns img, text, expected image, caption_0"):
        extract(find_shards(tmp_path), tmp_path / "out")
