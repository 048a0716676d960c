"""Clips and captions -> tables: nothing is dropped without a reason, ids follow the content."""

import csv
import errno
import os
import signal
import unicodedata
from collections import Counter

import numpy as np
import pytest
import soundfile

from preprocessing import clotho_dataset
from tests import tiny
from utils.artefact_utils import load_pickle, read_clips, read_text_table
from utils.dataset_utils import AUDIO_SUFFIXES
from utils.dataset_utils import clips as clips_module

NFC, NFD = "é.wav", unicodedata.normalize("NFD", "é.wav")
SPLITS = ("development", "validation", "evaluation")


def write_clip(path, rate=8000, channels=1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, (800, channels))
    soundfile.write(path, wave, rate)


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


class Corpus:
    """A data set in Clotho's layout; every split starts with one good clip."""

    def __init__(self, folder):
        self.root = folder / "corpus"
        self.features = folder / "features"
        self.conf = tiny.write_conf(folder)
        self.rows = {
            split: [["file_name", "caption_1", "caption_2"], ["ok.wav", "A dog.", "Rain."]] for split in SPLITS
        }
        for number, split in enumerate(SPLITS):
            write_clip(self.root / split / "ok.wav", seed=number)

    def write(self):
        for split, rows in self.rows.items():
            write_csv(self.root / f"clotho_captions_{split}.csv", rows)

    def run(self, *arguments):
        """The exit code."""
        try:
            clotho_dataset.main(["--conf", str(self.conf), "--workers", "1", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def clips(self, split="development"):
        return {clip.fname: clip for clip in read_clips(self.features / "audio_info.pkl", split, "")}

    def captions(self, split="development"):
        return read_text_table(self.features / f"{split}_text.csv", "")

    def rejected(self, split="development"):
        with (self.features / f"{split}_rejected.csv").open(newline="", encoding="utf-8") as stream:
            kinds, *rows = csv.reader(stream)
        assert kinds == ["kind", "name", "reason"]
        return [tuple(row) for row in rows]


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def test_a_nasty_corpus(corpus, capsys):
    folder = corpus.root / "development"
    write_clip(folder / "blanks  and, a comma.flac", rate=16_000, channels=2)
    write_clip(folder / 'it\'s "loud".ogg', rate=22_050)
    write_clip(folder / "große Glocke 鐘.mp3", rate=44_100)
    write_clip(folder / NFC)
    write_clip(folder / "LOUD.WAV")
    write_clip(folder / "lonely.wav")
    write_clip(folder / "cut.wav", seed=1)
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:-500])
    (folder / "garbage.wav").write_bytes(b"no audio at all")
    (folder / "notes.txt").touch()
    (folder / ".hidden.wav").touch()
    (folder / "more").mkdir()
    (folder / "gone.wav").symlink_to("/no/such/file.wav")
    corpus.rows["development"] += [
        ["blanks  and, a comma.flac", "One, two; three", 'A "quoted" word'],
        ['it\'s "loud".ogg', "None", "NA"],
        [" große Glocke 鐘.mp3 ", "Große Glocke", ""],
        [NFD, "Accents: é", "  ?!  "],
        ["LOUD.WAV", "Same.", "Same."],
        ["ok.wav", "again", "and again"],
        ["missing.wav", "x", "y"],
        ["cut.wav", "x", "y"],
        ["gone.wav", "x"],  # the last field is missing
        ["too.wav", "many", "fields", "here"],
    ]
    corpus.write()
    assert corpus.run() == 0
    clips = corpus.clips()
    assert {name: clip[3:6] for name, clip in clips.items()} == {
        "ok.wav": (0.1, 8000, 1),
        "blanks  and, a comma.flac": (0.05, 16_000, 2),
        'it\'s "loud".ogg': (800 / 22_050, 22_050, 1),
        "große Glocke 鐘.mp3": (800 / 44_100, 44_100, 1),
        NFC: (0.1, 8000, 1),
        "LOUD.WAV": (0.1, 8000, 1),
    }
    captions = corpus.captions()
    assert [(c.fname, c.raw_text, c.text) for c in captions] == [
        ("ok.wav", "A dog.", "a dog"),
        ("ok.wav", "Rain.", "rain"),
        ("blanks  and, a comma.flac", "One, two; three", "one two three"),
        ("blanks  and, a comma.flac", 'A "quoted" word', "a quoted word"),
        ('it\'s "loud".ogg', "None", "none"),
        ('it\'s "loud".ogg', "NA", "na"),
        ("große Glocke 鐘.mp3", "Große Glocke", "große glocke"),
        (NFC, "Accents: é", "accents é"),
        ("LOUD.WAV", "Same.", "same"),
        ("LOUD.WAV", "Same.", "same"),
    ]
    assert all(caption.fid == clips[caption.fname].fid for caption in captions)
    assert len({caption.tid for caption in captions}) == len(captions)
    assert captions[2].source_id == "blanks  and, a comma.flac#1"
    known = ", ".join(sorted(AUDIO_SUFFIXES))
    cut = "is truncated: 500 bytes of its samples are missing"
    link = "is a link to nothing, or no regular file"
    assert sorted(corpus.rejected()) == sorted(
        [
            ("clip", "notes.txt", f"extension '.txt' is none of {known}"),
            ("clip", "more", "is a folder; the clips of a split lie in one folder"),
            ("clip", "gone.wav", link),
            ("clip", "cut.wav", cut),
            ("clip", "garbage.wav", "cannot be decoded: Format not recognised"),
            ("clip", "lonely.wav", "without a caption"),
            ("caption", " große Glocke 鐘.mp3 #2", "no words in ''"),
            ("caption", f"{NFD}#2", "no words in '  ?!  '"),
            ("caption", "ok.wav#1", "same file name as an earlier row"),
            ("caption", "ok.wav#2", "same file name as an earlier row"),
            ("caption", "missing.wav#1", "without a clip: 'missing.wav': no such file"),
            ("caption", "missing.wav#2", "without a clip: 'missing.wav': no such file"),
            ("caption", "cut.wav#1", f"without a clip: 'cut.wav': {cut}"),
            ("caption", "cut.wav#2", f"without a clip: 'cut.wav': {cut}"),
            ("caption", "gone.wav#1", f"without a clip: 'gone.wav': {link}"),
            ("caption", "gone.wav#2", f"without a clip: 'gone.wav': {link}"),
            (
                "caption",
                "clotho_captions_development.csv line 12",
                "4 fields, the header has 3; put captions with commas in quotes",
            ),
        ]
    )
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "development" in line and "│" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["development", "6", "10", "0.0", "6", "11"]
    assert f"development: the rejected ones, with reasons: {corpus.features}/development_rejected.csv" in printed
    assert "validation: the rejected ones" not in printed
    assert "next: python -m preprocessing.audio_logmel --conf" in printed


def test_the_spelling_of_the_dcase_2023_baseline(corpus):
    write_clip(corpus.root / "development" / "a, b.wav")
    corpus.write()
    (corpus.root / "clotho_captions_development.csv").unlink()
    rows = [
        ["fname", "raw_text", "text"],
        ["ok.wav", "A dog!", "a dog as they spell it"],
        ["a, b.wav", "NA", "na"],
        ["ok.wav", "A bell.", ""],
        ["ok.wav", "Wind", "  "],
        ["ok.wav", "", "words without a caption"],
        ["none.wav", "x", "x"],
    ]
    write_csv(corpus.root / "development_captions.csv", rows)
    assert corpus.run() == 0
    assert [(c.fname, c.raw_text, c.text, c.source_id) for c in corpus.captions()] == [
        ("ok.wav", "A dog!", "a dog as they spell it", "ok.wav#0"),
        ("a, b.wav", "NA", "na", "a, b.wav#1"),
        ("ok.wav", "A bell.", "a bell", "ok.wav#2"),
        ("ok.wav", "Wind", "wind", "ok.wav#3"),
    ]
    assert corpus.rejected() == [
        ("caption", "ok.wav#4", "no words in ''"),
        ("caption", "none.wav#5", "without a clip: 'none.wav': no such file"),
    ]


def test_a_file_name_that_is_not_utf8_is_listed(corpus):
    corpus.write()
    write_clip(corpus.root / "development" / "x.wav")
    (corpus.root / "development" / "x.wav").rename(corpus.root / "development" / os.fsdecode(b"caf\xe9.wav"))
    assert corpus.run() == 0
    assert corpus.rejected() == [("clip", "caf\\udce9.wav", "without a caption")]


def test_two_files_whose_names_differ_in_composition_alone(corpus):
    folder = corpus.root / "development"
    write_clip(folder / NFC, seed=1)
    write_clip(folder / NFD, seed=2)
    corpus.write()
    (corpus.root / "clotho_captions_development.csv").unlink()
    rows = [["fname", "raw_text"], ["ok.wav", "A dog"], [NFC, "composed"], [NFD, "decomposed"]]
    write_csv(corpus.root / "development_captions.csv", rows)
    assert corpus.run() == 0
    # the second one is refused, and its caption with it: it describes another recording
    assert {(c.fname, c.raw_text) for c in corpus.captions()} == {("ok.wav", "A dog"), (NFD, "decomposed")}
    reason = f"same name as '{NFD}'"
    assert corpus.rejected() == [
        ("clip", NFC, reason),
        ("caption", f"{NFC}#1", f"without a clip: '{NFC}': {reason}"),
    ]


def test_every_clip_and_caption_is_in_a_table_or_on_the_list(tmp_path):
    pool = [
        "ok.wav",
        NFC,
        NFD,
        " a.wav",
        "a.wav",
        "a.wav ",
        "A.wav",
        "b,c.ogg",
        'd"e".wav',
        "x.txt",
        "-.wav",
        "鐘.flac",
    ]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        (tmp_path / str(seed)).mkdir()
        corpus = Corpus(tmp_path / str(seed))
        folder = corpus.root / "development"
        for number, name in enumerate(rng.choice(pool, 8, replace=False)):
            write_clip(folder / "made.wav", seed=number)
            content = (folder / "made.wav").read_bytes()
            (folder / "made.wav").unlink()
            (folder / name).write_bytes(content[: rng.choice([len(content), 30])])  # some are broken
        write_clip(folder / "ok.wav")
        names = ["ok.wav", *rng.choice([*pool, "missing.wav"], 10)]
        cells = [[str(text) for text in rng.choice(["a dog", "None", "", "?", " rain, "], 2)] for _ in names]
        cells[0][0] = "a dog"
        rows = [[name, *texts] for name, texts in zip(names, cells, strict=True)]
        if seed % 2:
            corpus.rows["development"][1:] = rows
            given = Counter(f"{name}#{column}" for name in names for column in (1, 2))
            corpus.write()
        else:
            corpus.write()
            (corpus.root / "clotho_captions_development.csv").unlink()
            write_csv(corpus.root / "development_captions.csv", [["fname", "raw_text", "text"], *rows])
            given = Counter(f"{name}#{row}" for row, name in enumerate(names))
        assert corpus.run() == 0
        listed = corpus.rejected()
        clips = Counter(list(corpus.clips())) + Counter(name for kind, name, _ in listed if kind == "clip")
        assert clips == Counter(path.name for path in folder.iterdir())
        captions = Counter(c.source_id for c in corpus.captions())
        assert captions + Counter(name for kind, name, _ in listed if kind == "caption") == given
        assert all(reason for *_, reason in listed)
        assert {c.fname for c in corpus.captions()} == set(corpus.clips())


def test_strict_writes_the_same_and_exits_with_1(corpus):
    corpus.write()
    assert corpus.run("--strict") == 0
    assert corpus.rejected() == []
    write_clip(corpus.root / "evaluation" / "lonely.wav")
    assert corpus.run("--strict") == 1
    assert corpus.rejected("evaluation") == [("clip", "lonely.wav", "without a caption")]
    assert set(corpus.clips("evaluation")) == {"ok.wav"}
    assert corpus.run() == 0


def ids(corpus):
    fids = {(split, name): clip.fid for split in SPLITS for name, clip in corpus.clips(split).items()}
    tids = {(split, c.source_id): c.tid for split in SPLITS for c in corpus.captions(split)}
    return fids, tids


def contents(folder):
    return {p.name: load_pickle(p, "") if p.suffix == ".pkl" else p.read_bytes() for p in folder.iterdir()}


def changed(before, after):
    return {key for key in before if before[key] != after[key]}


@pytest.fixture
def probed(monkeypatch):
    """The names of the files that are decoded."""
    names = []
    probe = clips_module.probe

    def counting(path):
        names.append(path.name)
        return probe(path)

    monkeypatch.setattr(clips_module, "probe", counting)
    return names


def test_ids_are_those_of_content_and_name_and_what_is_known_is_not_decoded_again(corpus, probed):
    folder = corpus.root / "development"
    write_clip(folder / "twin.wav", seed=0)  # the same samples as ok.wav
    corpus.rows["development"].append(["twin.wav", "A dog.", "Wind."])
    corpus.write()
    corpus.run()
    first = ids(corpus)
    assert len(set(first[0].values())) == 4
    assert len(set(first[1].values())) == 8
    assert sorted(probed) == ["ok.wav", "ok.wav", "ok.wav", "twin.wav"]
    probed.clear()
    tables = contents(corpus.features)
    corpus.run()
    assert probed == []
    assert contents(corpus.features) == tables
    (corpus.features / "audio_info.pkl").unlink()
    corpus.run()
    assert ids(corpus) == first
    probed.clear()

    write_clip(folder / "twin.wav", seed=9)  # as long as before
    corpus.rows["development"][1][1] = "A cat."
    corpus.write()
    corpus.run()
    assert probed == ["twin.wav"]
    second = ids(corpus)
    assert changed(first[0], second[0]) == {("development", "twin.wav")}
    assert changed(first[1], second[1]) == {("development", "ok.wav#1")}

    (folder / "twin.wav").rename(folder / "renamed.wav")
    corpus.rows["development"][2][0] = "renamed.wav"
    corpus.write()
    corpus.run()
    assert corpus.clips()["renamed.wav"].fid != second[0]["development", "twin.wav"]


def test_a_clip_that_breaks_later_is_decoded_again_and_refused(corpus, probed):
    write_clip(corpus.root / "development" / "b.wav")
    corpus.rows["development"].append(["b.wav", "A bell.", "Rain."])
    corpus.write()
    corpus.run()
    probed.clear()
    (corpus.root / "development" / "b.wav").write_bytes(b"")
    corpus.run()
    assert probed == ["b.wav"]
    assert set(corpus.clips()) == {"ok.wav"}
    assert [row[:2] for row in corpus.rejected()] == [("clip", "b.wav"), ("caption", "b.wav#1"), ("caption", "b.wav#2")]


def test_workers_write_the_same(corpus):
    for number in range(9):
        write_clip(corpus.root / "development" / f"{number}.wav", seed=number)
        corpus.rows["development"].append([f"{number}.wav", "A dog.", "Rain."])
    (corpus.root / "development" / "5.wav").write_bytes(b"RIFF")
    corpus.write()
    corpus.run()
    one = corpus.clips(), corpus.captions(), corpus.rejected()
    (corpus.features / "audio_info.pkl").unlink()
    corpus.run("--workers", "3")
    assert (corpus.clips(), corpus.captions(), corpus.rejected()) == one


def test_a_worker_that_is_killed_is_one_line(corpus, monkeypatch, capsys):
    write_clip(corpus.root / "development" / "b.wav")
    corpus.write()
    here = os.getpid()

    def killed(path):
        assert os.getpid() != here
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(clips_module, "probe", killed)
    assert corpus.run("--workers", "2") == 2
    assert "error: a worker process was killed, most likely for want of memory" in capsys.readouterr().err


def one_folder(corpus, clips=20):
    """A folder of clips and one CSV, without splits; clip 3 is broken, clip 4 has no caption."""
    for split in SPLITS:
        (corpus.root / split / "ok.wav").unlink()
        (corpus.root / split).rmdir()
    rows = [["fname", "raw_text"], ["none.wav", "without a clip"]]
    for number in range(clips):
        write_clip(corpus.root / "clips" / f"{number:02}.wav", seed=number)
        rows += [[f"{number:02}.wav", f"caption {n}"] for n in range(3) if number != 4]
    (corpus.root / "clips" / "03.wav").write_bytes(b"")
    write_csv(corpus.root / "mine.csv", rows)
    return ["--make-splits", "0.8,0.1,0.1", "--audio", "clips", "--captions", "mine.csv"]


def splits_of(corpus):
    return {split: sorted(corpus.clips(split)) for split in SPLITS}


def test_make_splits_shares_out_every_clip_once(corpus):
    arguments = one_folder(corpus)
    assert corpus.run(*arguments) == 0
    made = splits_of(corpus)
    names = [name for split in SPLITS for name in made[split]]
    assert sorted(names) == [f"{n:02}.wav" for n in range(20) if n not in (3, 4)]
    for split in SPLITS:
        by_clip = Counter(c.fname for c in corpus.captions(split))
        assert by_clip == dict.fromkeys(made[split], 3)  # no clip's captions in two splits
    rejected = sorted((kind, name) for split in SPLITS for kind, name, _ in corpus.rejected(split))
    assert rejected == [
        ("caption", "03.wav#10"),
        ("caption", "03.wav#11"),
        ("caption", "03.wav#12"),
        ("caption", "none.wav#0"),
        ("clip", "03.wav"),
        ("clip", "04.wav"),
    ]
    # 19 clips have captions; 0.8 and 0.9 of them are 15.2 and 17.1; one of them is broken
    assert sum(map(len, made.values())) == 18
    assert [len(made["validation"]), len(made["evaluation"])] in ([2, 2], [1, 2], [2, 1])


def test_make_splits_follows_its_seed(corpus):
    arguments = one_folder(corpus)
    assert corpus.run(*arguments) == 0
    first = splits_of(corpus)
    assert corpus.run(*arguments) == 0
    assert splits_of(corpus) == first
    assert corpus.run(*arguments, "--seed", "1") == 0
    assert splits_of(corpus) != first


def test_make_splits_finds_the_one_csv_in_the_folder_of_the_clips(corpus):
    one_folder(corpus)
    (corpus.root / "mine.csv").rename(corpus.root / "clips" / "mine.csv")
    assert corpus.run("--make-splits", "0.6,0.2,0.2", "--set", f"data.root={corpus.root / 'clips'}") == 0
    assert sum(map(len, splits_of(corpus).values())) == 18
    assert not any(name == "mine.csv" for split in SPLITS for _, name, _ in corpus.rejected(split))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--make-splits", "0.8,0.1"], "--make-splits: found 0.8,0.1, expected three positive shares that sum to 1"),
        (["--make-splits", "0.8,0.3,-0.1"], "--make-splits: found 0.8,0.3,-0.1"),
        (["--make-splits", "a,b,c"], "--make-splits: found a,b,c"),
        (["--make-splits", "0.5,0.1,0.1"], "--make-splits: found 0.5,0.1,0.1"),
        (["--captions", "no.csv"], "found no.csv as the CSV of captions, expected one; name it with --captions"),
        (["--audio", "no"], "--audio: folder"),
        (["--audio", "/"], "--audio: found /, expected a folder in data.root"),
        (["--set", "data.splits.val=development"], "data.splits: --make-splits needs three different splits"),
    ],
)
def test_bad_arguments_of_make_splits(corpus, capsys, arguments, message):
    assert corpus.run(*one_folder(corpus), *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_two_csvs_are_not_guessed_between(corpus, capsys):
    one_folder(corpus)
    write_csv(corpus.root / "other.csv", [["fname", "raw_text"]])
    assert corpus.run("--make-splits", "0.8,0.1,0.1", "--audio", "clips") == 2
    assert "found mine.csv, other.csv as the CSV of captions, expected one" in capsys.readouterr().err


def error_of(corpus, capsys, *arguments):
    assert corpus.run(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    return printed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found the columns , expected file_name, caption_1, ... or fname, raw_text, text"),
        (b"name,caption\nok.wav,x\n", "found the columns name, caption, expected"),
        (b"file_name;caption_1\nok.wav;x\n", "found the columns file_name;caption_1, expected"),
        (b"file_name,caption_1\nok.wav,\xff\n", "not a CSV table in UTF-8 (the row of line"),
        (b'fname,raw_text\nok.wav,"A dog\nb.wav,rain\n', "not a CSV table in UTF-8 (the row of line 2: unexpected end"),
        (b'fname,raw_text\nok.wav,a\nb.wav,"a" b\n', "not a CSV table in UTF-8 (the row of line 3: "),
        (b"file_name,caption_1,caption_1\nok.wav,a,b\n", "the column caption_1 stands twice; rename one"),
    ],
)
def test_a_csv_that_is_none_is_refused(corpus, capsys, content, message):
    corpus.write()
    (corpus.root / "clotho_captions_development.csv").write_bytes(content)
    error = error_of(corpus, capsys)
    assert f"clotho_captions_development.csv: {message}" in error


def test_a_byte_order_mark_and_blank_lines_do_no_harm(corpus):
    corpus.write()
    path = corpus.root / "clotho_captions_development.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\r\n\r\n") + b",,\r\n")
    assert corpus.run("--strict") == 0
    assert [c.raw_text for c in corpus.captions()] == ["A dog.", "Rain."]


def test_folders_and_tables_that_are_missing_are_named(corpus, capsys):
    corpus.write()
    error = error_of(corpus, capsys, "--set", "data.root=/no/such")
    assert "data.root: folder /no/such does not exist; correct it, or make the corpus: python -m preprocessing" in error
    error = error_of(corpus, capsys, "--set", "data.splits.eval=test")
    assert "data.splits: 'test': folder" in error
    (corpus.root / "clotho_captions_validation.csv").unlink()
    error = error_of(corpus, capsys)
    assert "found no captions of split 'validation', expected" in error
    assert "clotho_captions_validation.csv or" in error


def test_a_features_folder_that_is_a_file_is_one_line(corpus, tmp_path, capsys):
    corpus.write()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inside"):
        assert corpus.run("--set", f"data.features={path}") == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: {path}: a file stands where a folder is needed; remove it, or name another")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_leaves_the_old_tables(corpus, monkeypatch, capsys, number):
    corpus.write()
    corpus.run()
    old = contents(corpus.features)

    def refuse(self, target):
        raise OSError(number, "refused", str(target))

    corpus.rows["development"][1][1] = "A cat."
    corpus.write()
    monkeypatch.setattr("pathlib.Path.replace", refuse)
    assert corpus.run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {corpus.features}/development_rejected.csv: ")
    assert contents(corpus.features) == old


def test_an_empty_split_says_why(corpus, capsys):
    corpus.rows["validation"][1][0] = "no.wav"
    corpus.write()
    assert corpus.run() == 2
    error = capsys.readouterr().err
    assert "error: split 'validation' of " in error
    assert "is empty: 1 audio files, such as '" in error
    assert "; 2 captions, the first " in error
    assert "; none that go together; the reasons stand in " in error
    assert [row[:2] for row in corpus.rejected("validation")] == [
        ("caption", "no.wav#1"),
        ("caption", "no.wav#2"),
        ("clip", "ok.wav"),
    ]


def test_notes_name_the_root_and_the_command(corpus):
    corpus.write()
    corpus.run()
    notes = load_pickle(corpus.features / "audio_info.pkl", "")[1]
    assert notes["root"] == str(corpus.root)
    assert notes["made_by"] == f"python -m preprocessing.clotho_dataset --conf {corpus.conf}"


def test_another_root_with_the_same_names_is_decoded_anew(corpus, tmp_path, probed):
    corpus.write()
    corpus.run()
    probed.clear()
    corpus.root.rename(tmp_path / "moved")
    assert corpus.run("--set", f"data.root={tmp_path / 'moved'}") == 0
    assert len(probed) == 3
