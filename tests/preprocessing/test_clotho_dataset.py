"""Clips and captions -> tables: nothing is dropped without a reason."""

import os
import unicodedata
from collections import Counter

import numpy as np
import pytest

from tests.preprocessing.clotho_corpus import Corpus, write_clip, write_csv
from utils.dataset_utils import AUDIO_SUFFIXES

NFC, NFD = "é.wav", unicodedata.normalize("NFD", "é.wav")


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
    link = "is a broken link, or not a regular file"
    assert sorted(corpus.rejected()) == sorted(
        [
            ("clip", "notes.txt", f"extension '.txt' is none of {known}"),
            ("clip", "more", "is a folder; the clips of a split must be in one folder"),
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


def test_a_byte_order_mark_and_blank_lines_do_no_harm(corpus):
    corpus.write()
    path = corpus.root / "clotho_captions_development.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\r\n\r\n") + b",,\r\n")
    assert corpus.run("--strict") == 0
    assert [c.raw_text for c in corpus.captions()] == ["A dog.", "Rain."]
