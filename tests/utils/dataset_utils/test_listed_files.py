"""Local files, folders of categories and tables of metadata give the same rows as a list of addresses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.loopback import tone
from utils.cli_utils import UserError
from utils.dataset_utils.listed_files import RecordingList, read_recordings

NAMES = ("dog/a.wav", "dog/b.wav", "cat/c.wav", "cat/d.wav")
PAIRS = [("cat/c.wav", "cat"), ("cat/d.wav", "cat"), ("dog/a.wav", "dog"), ("dog/b.wav", "dog")]


def made(root: Path, *names: str) -> Path:
    content = tone(0.1)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pairs(found: RecordingList) -> list[tuple[str, str]]:
    assert all(recording.id and not recording.url for recording in found.recordings)
    return sorted((recording.path, recording.category) for recording in found.recordings)


def test_folders_are_categories(tmp_path):
    found = read_recordings(made(tmp_path, *NAMES), None)
    assert pairs(found) == PAIRS
    assert all(recording.is_local for recording in found.recordings)
    assert found.understood == [f"categories: the names of the 2 folders of {tmp_path.name}"]


def test_folders_that_are_links_are_named(tmp_path):
    made(tmp_path, *(f"elsewhere/{n}/a.wav" for n in range(5)))
    root = made(tmp_path / "root", *NAMES)
    for name in ("bird", "dog/deep"):
        (root / name).symlink_to(tmp_path / "elsewhere")
    found = read_recordings(root, None)
    assert pairs(found) == PAIRS
    said = "folders that are links are not searched: bird, dog/deep; link their files, or copy them"
    assert found.understood == ["categories: the names of the 2 folders of root", said]
    (tmp_path / "links").mkdir()
    for name in range(5):
        (tmp_path / "links" / str(name)).symlink_to(tmp_path / "elsewhere" / str(name))
    with pytest.raises(UserError, match=r"are not searched: 0, 1, 2 and 2 more; link .*; expected category/clip\.wav"):
        read_recordings(tmp_path / "links", None)


def test_folders_of_splits_hold_folders_of_categories(tmp_path):
    names = ["train/dog/a.wav", "train/cat/deep/b.wav", "test/dog/c.wav", "test/cat/d.wav"]
    found = read_recordings(made(tmp_path, *names), None)
    rows = {(recording.path, recording.category, recording.split) for recording in found.recordings}
    assert ("train/cat/deep/b.wav", "cat", "train") in rows
    assert ("test/dog/c.wav", "dog", "test") in rows


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("label", ["label", "category"])
def test_metadata_of_audiofolder(tmp_path, kind, label):
    made(tmp_path, *(f"data/{name}" for name in NAMES))
    rows = [{"file_name": f"data/{name}", "note": "x", label: name.partition("/")[0]} for name in NAMES]
    if kind == "csv":
        text = f"file_name,note,{label}\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    else:
        text = "".join(json.dumps({**row, "number": 1}) + "\n" for row in rows)
    (tmp_path / f"metadata.{kind}").write_text(text)
    expected = [(f"data/{path}", category) for path, category in PAIRS]
    assert pairs(read_recordings(tmp_path, None)) == expected
    assert pairs(read_recordings(tmp_path, tmp_path / f"metadata.{kind}")) == expected


def test_metadata_in_every_folder_of_a_split(tmp_path):
    made(tmp_path, "train/a.wav", "train/b.wav", "test/a.wav", "test/b.wav")
    for split in ("train", "test"):
        (tmp_path / split / "metadata.csv").write_text("file_name,label\na.wav,dog\nb.wav,cat\n")
    found = read_recordings(tmp_path, None)
    rows = {(recording.path, recording.category, recording.split) for recording in found.recordings}
    assert rows == {
        ("train/a.wav", "dog", "train"),
        ("train/b.wav", "cat", "train"),
        ("test/a.wav", "dog", "test"),
        ("test/b.wav", "cat", "test"),
    }


def test_the_tables_of_esc50_and_of_urbansound8k(tmp_path):
    """Cuts of one source have one channel, so that they come into one split."""
    header = "filename,fold,target,category,esc10,src_file,take"
    sources = {"1-10-A-0.wav": "10", "1-38-A-14.wav": "38", "1-38-B-14.wav": "38", "5-9-A-0.wav": "9"}
    root = made(tmp_path / "esc", *(f"audio/{name}" for name in sources))
    rows = [f"{name},1,0,{'rain' if name[-5] == '0' else 'dog'},True,{source},A" for name, source in sources.items()]
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join([header, *rows, "1-7-A-14.wav,1,0,dog,True,7,A"]))
    made(root, "audio/1-7-A-14.wav")
    found = read_recordings(root, root / "meta" / "esc50.csv").recordings
    assert [(one.path, one.category, one.channel) for one in found[:4]] == [
        ("audio/1-10-A-0.wav", "rain", "10"),
        ("audio/1-38-A-14.wav", "dog", "38"),
        ("audio/1-38-B-14.wav", "dog", "38"),
        ("audio/5-9-A-0.wav", "rain", "9"),
    ]

    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    kinds = {"1-3-0-0.wav": "dog_bark", "1-3-0-1.wav": "dog_bark", "2-3-0-0.wav": "dog_bark", "22-8-0-117.wav": "siren"}
    kinds["44-8-0-1.wav"] = "siren"
    root = made(tmp_path / "us", *(f"audio/fold{fold}/{name}" for fold, name in enumerate(kinds)))
    rows = [f"{name},{name.partition('-')[0]},0.0,4,1,5,3,{kind}" for name, kind in kinds.items()]
    (root / "UrbanSound8K.csv").write_text("\n".join([header, *rows]))
    found = read_recordings(root, root / "UrbanSound8K.csv").recordings
    assert [(one.category, one.channel) for one in found] == [
        ("dog_bark", "1"),
        ("dog_bark", "1"),
        ("dog_bark", "2"),
        ("siren", "22"),
        ("siren", "44"),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_metadata_of_a_spreadsheet(tmp_path, delimiter):
    made(tmp_path, *NAMES)
    rows = ["File_Name,Label", *(f"{name},{name.partition('/')[0]}" for name in NAMES)]
    (tmp_path / "metadata.csv").write_text("\r\n".join(rows).replace(",", delimiter), encoding="utf-8-sig")
    assert pairs(read_recordings(tmp_path, None)) == PAIRS


def test_categories_that_are_numbers_of_classes(tmp_path):
    made(tmp_path, *NAMES)
    rows = [json.dumps({"file_name": name, "label": int(name.startswith("dog"))}) for name in NAMES]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    assert {category for _, category in pairs(read_recordings(tmp_path, None))} == {"0", "1"}


def test_a_list_of_addresses_needs_no_folder(tmp_path):
    (tmp_path / "list.csv").write_text("url,category\n" + "".join(f"http://x/{n},{n % 2}\n" for n in range(4)))
    found = read_recordings(tmp_path / "nowhere", tmp_path / "list.csv")
    assert len(found.recordings) == 4
    assert found.understood == ["list.csv: 4 addresses and 0 files"]


def test_local_files_of_a_list_are_found_however_they_are_spelled(tmp_path):
    root = made(tmp_path / "data", *NAMES)
    rows = [f"{root}/dog/a.wav,dog", "dog/b,dog", "C.WAV,cat", "http://x/y.mp3,cat"]
    (tmp_path / "list.csv").write_text("\n".join(["url,category", *rows]))
    found = read_recordings(root, tmp_path / "list.csv")
    assert [recording.path for recording in found.recordings] == ["dog/a.wav", "dog/b.wav", "cat/c.wav", ""]


def test_a_file_that_is_not_there_is_reported_and_the_list_goes_on(tmp_path):
    made(tmp_path, *NAMES)
    rows = [f"{name},{name.partition('/')[0]}" for name in (*NAMES, "dog/gone.wav")]
    (tmp_path / "list.csv").write_text("\n".join(["url,category", *rows]))
    found = read_recordings(tmp_path, tmp_path / "list.csv")
    assert pairs(found) == PAIRS
    assert [(failure.url, failure.reason) for failure in found.missing] == [("dog/gone.wav", "no such file")]


def test_no_path_of_a_list_leaves_the_data_folder(tmp_path):
    root = made(tmp_path / "data", *NAMES)
    made(tmp_path, "outside.wav")
    rows = [f"{name},{name.partition('/')[0]}" for name in NAMES]
    rows += ["../outside.wav,dog", f"{tmp_path}/outside.wav,dog", "dog/../../outside.wav,dog"]
    (tmp_path / "list.csv").write_text("\n".join(["url,category", *rows]))
    found = read_recordings(root, tmp_path / "list.csv")
    assert pairs(found) == PAIRS
    assert len(found.missing) == 3


@pytest.mark.parametrize(
    ("names", "table", "said"),
    [
        (["dog/a.wav"], None, "found one, 'dog', expected at least 2"),
        (["dog/a.wav", "dog/b.wav", "cat/c.wav"], None, "category 'cat' has one recording, expected at least 2"),
        ([*NAMES, "Dog/e.wav"], None, "differs from"),
        ([*NAMES, "loose.wav"], None, "is in no folder named by its category; expected category/loose.wav"),
        ([], None, "no audio files in its folders; expected category/clip.wav, or name a list: data.table"),
        ([], "url,category\na.wav,dog\nb.wav,dog\nc.wav,cat\nd.wav,cat\n", "line 2: 'a.wav' is no address, and"),
        (
            NAMES,
            "file_name,kind\ndog/a.wav,dog\n",
            "line 2: has no text in category or label or class; found file_name, kind",
        ),
        (NAMES, "file_name,label\n", "has no row below its header; add recordings"),
        (
            NAMES,
            "url,category\ndog/a.wav,dog\ncat/c.wav,cat\ncat/d.wav,cat\ndog/x.wav,dog\n",
            "category 'dog' has one recording among the files that are there, expected at least 2",
        ),
        (
            NAMES,
            "url,category\ndog/a.wav,dog\ndog/a,dog\ncat/c.wav,cat\ncat/d.wav,cat\n",
            "line 3: 'dog/a.wav' is the recording of line 2 once more; keep one row of it",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, names, table, said):
    root = tmp_path / "data"
    root.mkdir()
    made(root, *names)
    path = None
    if table is not None:
        path = tmp_path / "list.csv"
        path.write_text(table)
    with pytest.raises(UserError) as error:
        read_recordings(root, path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", '{"file_name": 3.5, "label": "dog"}', '{"file_name": "dog/b.wav", "label": true}', "\ufeff\ufeff{}"],
)
def test_broken_lines_of_metadata_are_named(tmp_path, line):
    made(tmp_path, *NAMES)
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "dog/a.wav", "label": "dog"}}\n{line}\n')
    with pytest.raises(UserError, match=r"metadata\.jsonl, line 2: "):
        read_recordings(tmp_path, None)


def test_no_folder_is_said(tmp_path):
    with pytest.raises(UserError, match="no such folder; name the folder of the recordings, or a list"):
        read_recordings(tmp_path / "nowhere", None)
