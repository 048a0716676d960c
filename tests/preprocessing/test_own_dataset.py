"""A folder and a table, or folders of kinds: one command to a YAML and tables, and every printed command runs."""

import csv
import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import soundfile
import yaml

import main as training
from preprocessing import audiocaps_dataset, clotho_dataset, own_dataset
from preprocessing.synthetic_corpus import __main__ as synthetic_corpus
from tasks import parse_run
from tests import tiny
from tests.preprocessing.clotho_corpus import write_clip, write_csv
from tests.tiny import ROOT
from utils.artefact_utils import read_clips, read_text_table
from utils.config_utils import read_settings

SPLITS = ("development", "validation", "evaluation")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder: clips/ with 40 clips, captions.csv with two captions each, and a small conf.yaml."""
    settings = tiny.conf(tmp_path)
    settings["output_root"] = "runs"
    settings["training"]["sampling"] = {"by": "clip", "captions_per_clip": 5}
    tiny.write_conf(tmp_path, settings)
    add_clips(tmp_path, range(40))
    write_table(tmp_path, range(40))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_clips(folder, numbers):
    for number in numbers:
        write_clip(folder / "clips" / f"{number:03}.wav", seed=number)


def write_table(folder, numbers):
    rows = [["filename", "caption_1", "caption_2"], *([f"{n:03}.wav", "A dog.", f"Rain {n}."] for n in numbers)]
    write_csv(folder / "captions.csv", rows)


def run(*arguments):
    """The exit code."""
    try:
        own_dataset.main([*arguments, "--workers", "1"])
    except SystemExit as stop:
        return stop.code
    return 0


def splits_of(name="mine"):
    table = Path("data/features") / name / "audio_info.pkl"
    return {clip.path: split for split in SPLITS for clip in read_clips(table, split, "")}


def rejected(name="mine"):
    found = []
    for split in SPLITS:
        with (Path("data/features") / name / f"{split}_rejected.csv").open(newline="", encoding="utf-8") as stream:
            found += [tuple(row) for row in list(csv.reader(stream))[1:]]
    return found


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_and_a_table_to_a_checked_run(here, capsys):
    raw = snapshot(here / "clips")
    tiny.write_sentence_encoder(here / "encoder")
    assert run("clips", "captions.csv", "--name", "mine") == 0
    printed = capsys.readouterr().out
    assert (
        "captions.csv: commas between the columns; files in 'filename', captions in 'caption_1', 'caption_2'" in printed
    )
    assert "file names: 40 as they are" in printed
    for _ in range(3):  # the log-mels, the vectors of captions, training
        _, _, command = printed.rpartition("next: ")
        *_, arguments = command.splitlines()[0].partition("python ")  # after the folder of the modules, if one is named
        arguments = shlex.split(arguments)
        assert arguments[-2:] == ["--conf", "mine.yaml"]
        if arguments[0] == "-m":
            importlib.import_module(arguments[1]).main(arguments[2:])
            printed = capsys.readouterr().out
    assert Path(arguments[0]).name == "main.py"
    training.main([*arguments[1:], "--check"])
    printed = capsys.readouterr().out
    assert len(re.findall(r"(development|validation|evaluation) +│ +\d+ │ +\d+ │", printed)) == 3
    assert snapshot(here / "clips") == raw  # raw data is only read
    captions = [c for s in SPLITS for c in read_text_table(Path(f"data/features/mine/{s}_text.csv"), "")]
    assert len(captions) == 80
    assert {c.source_id for c in captions if c.fname == "007.wav"} == {"007.wav#1", "007.wav#2"}


def test_the_yaml_is_conf_yaml_with_values_for_these_clips(here, capsys):
    shutil.copy(ROOT / "conf.yaml", "conf.yaml")
    assert run("clips", "captions.csv", "--name", "mine", "--set", "optimizer.lr=0.25", "--set", "data.workers=1") == 0
    text = Path("mine.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)
    assert given["experiment"] == "mine"
    assert given["data"]["root"] == "clips"
    assert given["data"]["features"] == "data/features/mine"
    assert given["data"]["own_dataset"]["captions"] == "captions.csv"
    assert given["optimizer"]["lr"] == 0.25
    assert given["data"]["workers"] == 1
    assert given["training"]["batch_size"] == 8  # of about 32 clips
    assert given["training"]["epochs"] == 60
    assert given["training"]["sampling"]["captions_per_clip"] == 2  # no clip has more
    template = (ROOT / "conf.yaml").read_text(encoding="utf-8")
    comments = re.findall(r"#.*", template[template.index("\ntask:") : template.index("\n# ---")])
    assert all(comment in text for comment in comments)
    assert "experiment: clotho" not in text
    parse_run(read_settings(Path("mine.yaml")), "mine.yaml")


def test_ten_more_clips_move_no_earlier_one(here, capsys):
    assert run("clips", "captions.csv", "--name", "mine") == 0
    before, text = splits_of(), Path("mine.yaml").read_text()
    add_clips(here, range(100, 110))
    write_table(here, [*range(40), *range(100, 110)])
    assert run("clips", "captions.csv", "--name", "mine") == 0
    assert "mine.yaml is there and stays as it is; remove it for a new one" in capsys.readouterr().out
    after = splits_of()
    assert {path: after[path] for path in before} == before
    assert len(after) == 50
    assert Path("mine.yaml").read_text() == text
    assert run("--conf", "mine.yaml") == 0  # the command that messages name
    assert splits_of() == after


def test_folders_of_kinds_without_a_table(here, capsys):
    for number, clip in enumerate(sorted((here / "clips").iterdir())[:39]):
        kind = here / "clips" / ("dog_bark" if number % 2 else "rain")
        kind.mkdir(exist_ok=True)
        clip.rename(kind / f"{number // 2}.wav")  # the same names in both folders
    assert run("clips", "--name", "kinds") == 0
    printed = capsys.readouterr().out
    assert "captions: the names of the 2 folders that clips are in, such as 'dog bark'" in printed
    tables = [c for s in SPLITS for c in read_text_table(Path(f"data/features/kinds/{s}_text.csv"), "")]
    assert sorted({c.raw_text for c in tables}) == ["dog bark", "rain"]
    assert len(tables) == 39
    assert rejected("kinds") == [("clip", "039.wav", "without a caption")]
    assert yaml.safe_load(Path("kinds.yaml").read_text())["data"]["own_dataset"]["captions"] is None


def test_what_has_no_counterpart_is_counted_and_listed(here, capsys):
    rows = [["file", "caption_1", "caption_2"], ["gone.wav", "Nothing.", ""], ["", "No name.", ""], ["038", "", ""]]
    write_csv(here / "captions.csv", [*rows, *([f"{n:03}", "A dog.", ""] for n in range(38))])
    (here / "clips" / "005.wav").write_bytes(b"broken")
    assert run("clips", "captions.csv", "--name", "mine") == 0
    kinds = sorted((kind, name) for kind, name, _ in rejected())
    assert kinds == [
        ("caption", "005.wav#1"),
        ("caption", "captions.csv line 2"),
        ("caption", "captions.csv line 3"),
        ("caption", "captions.csv line 4"),
        ("clip", "005.wav"),
        ("clip", "038.wav"),
        ("clip", "039.wav"),
    ]
    printed = capsys.readouterr().out
    assert "file names: 38 without extension" in printed
    assert run("--conf", "mine.yaml", "--strict") == 1


def test_clips_of_one_recording_or_group_stay_together(here, capsys):
    write_csv(here / "captions.csv", [["file", "text", "speaker"], *([f"{n:03}", "Words.", n // 4] for n in range(40))])
    assert run("clips", "captions.csv", "--name", "mine") == 0
    assert "groups in 'speaker'" in capsys.readouterr().out
    found = splits_of()
    assert all(len({found[f"{n:03}.wav"] for n in range(first, first + 4)}) == 1 for first in range(0, 40, 4))
    for number in range(40):
        (here / "clips" / f"{number:03}.wav").rename(here / "clips" / f"dog 1-{number // 2}-{'AB'[number % 2]}.wav")
    write_csv(
        here / "captions.csv", [["file", "text"], *([f"dog 1-{n // 2}-{'AB'[n % 2]}", "Dog."] for n in range(40))]
    )
    assert run("clips", "captions.csv", "--name", "cuts") == 0
    assert "recordings: 40 clips are cut from 20, by their names; those of one are" in capsys.readouterr().out
    found = splits_of("cuts")
    assert all(found[f"dog 1-{n}-A.wav"] == found[f"dog 1-{n}-B.wav"] for n in range(20))


def test_equal_content_is_in_one_split(here):
    for number in range(0, 40, 2):
        shutil.copy(here / "clips" / f"{number:03}.wav", here / "clips" / f"{number + 1:03}.wav")
    assert run("clips", "captions.csv", "--name", "mine") == 0
    found = splits_of()
    assert all(found[f"{n:03}.wav"] == found[f"{n + 1:03}.wav"] for n in range(0, 40, 2))
    assert not Path("data/features/mine/same_recordings.csv").read_text().count("validation") % 2


def test_another_system_is_the_template(here, capsys):
    settings = tiny.clap_conf(here)
    Path("clap.yaml").write_text(yaml.safe_dump(settings))
    assert run("clips", "captions.csv", "--name", "mine", "--conf", "clap.yaml", "--shares", "0.6,0.2,0.2") == 0
    given = yaml.safe_load(Path("mine.yaml").read_text())
    assert given["task"] == "clap_projection"
    assert given["data"]["own_dataset"]["shares"] == [0.6, 0.2, 0.2]
    assert "preprocessing.clip_embeddings --conf mine.yaml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clips", "captions.csv"], "--name is missing: the experiment and its YAML need one: "),
        (["none", "captions.csv", "--name", "x"], "FOLDER: folder none does not exist; name the folder of the clips"),
        (["clips", "none.csv", "--name", "x"], "none.csv: no such file"),
        (["clips", "--name", "x"], "the clips are in no folders named by what is heard, and no table is given"),
        (["clips", "captions.csv", "--name", "a/b"], "experiment: needs a plain name, without slashes"),
        (["clips", "captions.csv", "--name", "x", "--shares", "1,2"], "--shares: found 1,2, expected three positive"),
        (["clips", "captions.csv", "--name", "x", "--group", "room"], "has no column 'room' to group by"),
        (["clips", "captions.csv", "--name", "x", "--shares", "0.9998,0.0001,0.0001"], "are too few for three splits"),
        (["clips", "captions.csv", "--name", "x", "--set", "data.features=clips/x"], "is inside data.root"),
        (["clips", "captions.csv", "--name", "conf"], "conf.yaml: is there, and data.root is "),
        (["empty", "captions.csv", "--name", "x"], "empty: no audio files in this folder or below it"),
        (["kinds", "--name", "x"], "folder 'train' is named after a split, not after what is heard"),
        (
            ["numbers", "--name", "x"],
            "numbers: the clips are in folders of numbers, such as '000', which do not describe",
        ),
        (["kinds", "captions.csv", "--name", "x"], "kinds: no clip has a caption (captions.csv: commas between the "),
        ([], "conf.yaml: has no data.own_dataset; begin with: "),
        (["--name", "x"], "--name: goes with FOLDER; without it, the YAML decides"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(here, capsys, arguments, message):
    (here / "empty").mkdir()
    write_clip(here / "kinds" / "train" / "a.wav")
    write_clip(here / "numbers" / "000" / "a.wav")
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not (here / "x.yaml").exists()
    assert not (here / "data").exists()


@pytest.mark.parametrize("script", [clotho_dataset, audiocaps_dataset, synthetic_corpus])
def test_scripts_of_data_sets_leave_own_clips_alone(here, capsys, script):
    assert run("clips", "captions.csv", "--name", "mine") == 0
    before = snapshot(here)
    with pytest.raises(SystemExit) as stop:
        script.main(["--conf", "mine.yaml"])
    assert stop.value.code == 2
    assert snapshot(here) == before
    if script is not synthetic_corpus:
        error = capsys.readouterr().err
        assert "data.own_dataset: is set: clips is in no data set's layout; its tables are made by " in error
        assert error.endswith("preprocessing.own_dataset --conf mine.yaml\n")


def test_a_yaml_of_other_clips_is_not_replaced(here, capsys):
    assert run("clips", "captions.csv", "--name", "mine") == 0
    assert run(str(here / "clips"), "./captions.csv", "--name", "mine") == 0  # another spelling of the same
    text = Path("mine.yaml").read_text()
    (here / "others").mkdir()
    soundfile.write(here / "others" / "a.wav", [0.1] * 8000, 8000)
    for arguments, message in (
        (["others", "captions.csv"], "mine.yaml: is there, and data.root is clips, not others; name another"),
        (["clips"], "mine.yaml: is there, and data.own_dataset.captions is captions.csv, not None"),
        (["clips", "captions.csv", "--shares", "0.6,0.2,0.2"], "data.own_dataset.shares is (0.8, 0.1, 0.1), not (0.6"),
        (["clips", "captions.csv", "--set", "training.epochs=1"], "--set goes into a new one: change mine.yaml"),
    ):
        assert run(*arguments, "--name", "mine") == 2
        assert message in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == text
