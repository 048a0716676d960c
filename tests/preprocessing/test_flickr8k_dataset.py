from __future__ import annotations

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from preprocessing import flickr8k_dataset as script
from preprocessing.synthetic_pictures.pictures import plan_picture, render
from preprocessing.synthetic_pictures.writing import write_corpus
from tasks.base import ImageRun
from tasks.runs import add_conf_arguments
from tests.utils.dataset_utils.test_parquet_pictures import write_shard
from utils.artefact_utils import read_clips, read_text_table
from utils.data_utils.image_spec import ImageDataSpec
from utils.dataset_utils import picture_tables

SPLITS = ("development", "validation", "evaluation")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The `data:` block of the run that the script gets, whatever its YAML."""
    encoder = {"model": "package:efficientnet-lite0"}
    (tmp_path / "root").mkdir()
    data = ImageDataSpec(root=tmp_path / "root", features=tmp_path / "features", image_embeddings=encoder)

    def load(argv, parser, kind):
        assert kind is ImageRun
        add_conf_arguments(parser)
        return ImageRun.model_construct(data=data), parser.parse_args(argv)

    monkeypatch.setattr(script, "load_run", load)
    return data


def write_pictures(root, count, start=0):
    folder = root / "Images"
    folder.mkdir(parents=True, exist_ok=True)
    plans = {f"{index:03d}.jpg": plan_picture(0, 2, index) for index in range(start, start + count)}
    for name, plan in plans.items():
        (folder / name).write_bytes(render(plan))
    with (root / "captions.txt").open("w", newline="") as stream:
        rows = [(name, caption) for name, plan in plans.items() for caption in plan.captions]
        csv.writer(stream, lineterminator="\n").writerows([("image", "caption"), *rows])
    return list(plans)


def names_of(data):
    return {split: [clip.fname for clip in read_clips(data.clip_info, split, "")] for split in SPLITS}


def rejected(data, split):
    with data.rejected(split).open(newline="") as stream:
        return [tuple(row.values()) for row in csv.DictReader(stream)]


def run(*argv):
    """The exit code of the script."""
    try:
        script.main([*argv, "--workers", "1"])
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_embedded_corpus_by_its_lists(data, capsys):
    write_corpus(data.root, {"train": 6, "dev": 2, "test": 3}, seed=0, workers=1)
    assert run("--strict") == 0
    assert {split: len(names) for split, names in names_of(data).items()} == dict(zip(SPLITS, (6, 2, 3), strict=True))
    captions = read_text_table(data.text_table("validation"), "")
    assert [c.raw_text for c in captions[:5]] == list(plan_picture(0, 1, 0).captions)
    assert captions[0].source_id == "dev_000000.jpg#0"
    clip = read_clips(data.clip_info, "evaluation", "")[0]
    assert (clip.path, clip.duration_s, clip.sample_rate_hz, clip.channels) == ("Images/test_000000.jpg", 0, 0, 3)
    assert data.picture(clip.path).is_file()
    assert not data.duplicates.exists()
    assert "next: " in capsys.readouterr().out


def test_the_published_layout_with_its_quirks(data):
    names = write_pictures(data.root, 7)
    (data.root / "captions.txt").unlink()
    (data.root / "Images").rename(data.root / "Flicker8k_Dataset")
    lines = [f"{name}#{n}\tcaption {n} , of {name}" for name in names[:6] for n in range(2)]
    lines += ["2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway"]
    (data.root / "Flickr8k.token.txt").write_text("\n".join(lines))
    (data.root / "Flickr_8k.trainImages.txt").write_text("000.jpg\n001.jpg\n006.jpg\ngone.jpg\n")
    (data.root / "Flickr_8k.devImages.txt").write_text("002\n")
    (data.root / "Flickr_8k.testImages.txt").write_text("003.jpg\n005.jpg\n")
    (data.root / "Flicker8k_Dataset" / "005.jpg").write_bytes(b"\xff\xd8 cut")
    assert run("--strict") == 1
    assert names_of(data) == {
        "development": ["000.jpg", "001.jpg"],
        "validation": ["002.jpg"],
        "evaluation": ["003.jpg"],
    }
    reasons = {name: reason for _, name, reason in rejected(data, "development")}
    assert reasons["006.jpg"] == "without a caption"
    assert reasons["004.jpg"] == "is in no list of a split"
    assert reasons["gone"] == "in the list of 'development': no such file"
    assert "no such file" in reasons["2258277193_586949ec62.jpg.1#0"]
    assert "is in no list" in reasons["004.jpg#1"]
    broken = rejected(data, "evaluation")
    assert broken[0][:2] == ("clip", "005.jpg")
    assert {row[1] for row in broken[1:]} == {"005.jpg#0", "005.jpg#1"}


def test_a_seeded_split_is_by_picture_and_depends_on_content_alone(data, capsys):
    write_pictures(data.root, 40)
    copy = data.root / "Images" / "copy.jpg"
    copy.write_bytes((data.root / "Images" / "000.jpg").read_bytes())
    with (data.root / "captions.txt").open("a") as stream:
        stream.write("copy.jpg,the same again\n")
    run()
    assert "no lists; 41 pictures are split 8:1:1" in capsys.readouterr().out
    first = names_of(data)
    every = [name for names in first.values() for name in names]
    assert len(every) == len(set(every)) == 41
    assert all(first.values())
    split_of = {name: split for split, names in first.items() for name in names}
    assert split_of["copy.jpg"] == split_of["000.jpg"]
    fids = [{c.fid for c in read_text_table(data.text_table(split), "")} for split in SPLITS]
    assert len(set.union(*fids)) == sum(map(len, fids))
    write_pictures(data.root, 45)
    run()
    again = {name: split for split, names in names_of(data).items() for name in names}
    assert {name: again[name] for name in again if name in split_of} == {
        name: split_of[name] for name in again if name in split_of
    }
    run("--seed", "3")
    assert names_of(data) != first


def test_nearly_the_same_picture_in_two_splits_is_reported(data, capsys):
    names = write_pictures(data.root, 6)
    coarse = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    photo = Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC)
    photo.save(data.root / "Images" / names[0], quality=95)
    photo.resize((100, 75)).save(data.root / "Images" / names[5], quality=40)
    for name, members in zip(("train", "dev", "test"), (names[:3], names[3:4], names[4:]), strict=True):
        (data.root / f"Flickr_8k.{name}Images.txt").write_text("\n".join(members))
    run()
    out = capsys.readouterr().out
    assert "pairs of nearly the same picture: 1 in development and evaluation, such as 'Images/000.jpg'" in out
    with data.duplicates.open(newline="") as stream:
        rows = [(row["pair"], row["split"], row["path"]) for row in csv.DictReader(stream)]
    assert rows == [("0", "development", "Images/000.jpg"), ("0", "evaluation", "Images/005.jpg")]
    (data.root / "Images" / names[5]).write_bytes(render(plan_picture(0, 2, 99)))
    run()
    assert not data.duplicates.exists()


def test_unchanged_pictures_are_not_decoded_again(data, monkeypatch):
    write_pictures(data.root, 40)
    run()
    tables = [data.clip_info, *map(data.text_table, SPLITS)]
    before = [path.read_bytes() for path in tables]
    decoded = []
    probe = picture_tables._probe_picture
    monkeypatch.setattr(picture_tables, "_probe_picture", lambda job: (decoded.append(job.file.name), probe(job))[1])
    run()
    assert decoded == []
    assert [path.read_bytes() for path in tables] == before
    os.utime(data.root / "Images" / "007.jpg", ns=(1, 1))
    run()
    assert decoded == ["007.jpg"]


KILLED = """
import os, signal
from pathlib import Path
from utils.data_utils.image_spec import ImageDataSpec
from utils.dataset_utils import parquet_pictures
data = ImageDataSpec(root={root!r}, features={features!r}, image_embeddings={{"model": "x"}})
replacing, left = parquet_pictures.replacing, [5]
def killing(path, known):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replacing(path, known)
parquet_pictures.replacing = killing
parquet_pictures.extract(parquet_pictures.find_shards(data.root), data.extracted)
"""


def test_one_parquet_split_is_split_by_content_and_survives_a_kill(data):
    rows = [(f"{index}.jpg", render(plan_picture(0, 0, index))) for index in range(40)]
    write_shard(data.root / "data" / "train-00000-of-00001.parquet", rows)
    code = KILLED.format(root=str(data.root), features=str(data.features))
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert len(list(data.extracted.glob("*.jpg"))) == 4
    run()
    names = names_of(data)
    assert sorted(name for those in names.values() for name in those) == sorted(name for name, _ in rows)
    assert all(names.values())
    for split in SPLITS:
        for clip in read_clips(data.clip_info, split, ""):
            assert data.picture(clip.path).read_bytes() == dict(rows)[clip.fname]
    assert [path.name for path in data.root.rglob("*") if path.is_file()] == ["train-00000-of-00001.parquet"]


def test_parquet_splits_play_their_roles(data):
    for start, name in enumerate(("train", "test", "validation")):
        rows = [(f"{name}{index}.jpg", render(plan_picture(start, 0, index))) for index in range(2)]
        write_shard(data.root / f"{name}-00000-of-00001.parquet", rows, captions=5)
    run()
    assert names_of(data) == {
        "development": ["train0.jpg", "train1.jpg"],
        "validation": ["validation0.jpg", "validation1.jpg"],
        "evaluation": ["test0.jpg", "test1.jpg"],
    }
    assert len(read_text_table(data.text_table("evaluation"), "")) == 10


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: None, "found no folder of pictures"),
        (
            lambda root: write_pictures(root, 3) and (root / "captions.txt").unlink(),
            "found no captions",
        ),
        (lambda root: write_pictures(root, 3), "falls to '"),
        (
            lambda root: [write_shard(root / f"{n}.parquet", [("a.jpg", b"")]) for n in ("train", "test")],
            "validation and",
        ),
    ],
)
def test_what_is_missing_ends_in_one_line(data, capsys, prepare, message):
    prepare(data.root)
    assert run() == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_bomb_and_other_modes(data):
    names = write_pictures(data.root, 12)
    folder = data.root / "Images"
    file = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(file, "PNG")
    (folder / names[0]).write_bytes(file.getvalue())
    Image.new("L", (40, 30), 128).save(folder / names[1])
    Image.new("CMYK", (40, 30)).save(folder / names[2])
    for name, members in zip(("train", "dev", "test"), (names[:8], names[8:10], names[10:]), strict=True):
        (data.root / f"Flickr_8k.{name}Images.txt").write_text("\n".join(members))
    run()
    assert names_of(data)["development"] == names[1:8]
    kinds = [(kind, name) for kind, name, _ in rejected(data, "development")]
    assert kinds[0] == ("clip", names[0])
    assert "too large" in rejected(data, "development")[0][2]
