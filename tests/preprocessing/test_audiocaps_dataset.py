"""AudioCaps -> tables: prefixes resolved, rows repaired, nothing lost without a reason."""

import csv
import pickle

import numpy as np
import pytest
import soundfile

from preprocessing import audio_logmel, audiocaps_dataset, clotho_dataset, sbert_embeddings
from preprocessing.audiocaps_dataset import CSV_FORM, csv_files, tsv_files
from preprocessing.synthetic_corpus.writing import write_corpus
from tests import tiny
from utils.artefact_utils import load_pickle, read_clips, read_text_table
from utils.dataset_utils import AUDIO_SUFFIXES, TableRow, read_loose_table

SPLITS = ("train", "val", "test")


def write_clip(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, 800)
    soundfile.write(path, wave, 8000)


class AudioCaps:
    """A folder `audiocaps` as it is published as TSV; every split starts with one good clip."""

    def __init__(self, folder):
        self.root = folder / "audiocaps"
        self.features = folder / "features"
        mapping = tiny.conf(folder)
        mapping["data"] |= {"root": str(self.root), "splits": {"train": "train", "val": "val", "eval": "test"}}
        self.conf = tiny.write_conf(folder, mapping)
        for number, split in enumerate(SPLITS):
            write_clip(self.root / "audio" / split / "0.flac", seed=number)
            self.write(split)

    def write(self, split, *rows, header="uniq_id\taudio\ttext"):
        first = f"{split}-0\taudiocaps/audio/{split}/0.flac\tA dog barks."
        (self.root / f"{split}.tsv").write_text("\n".join([header, first, *rows]) + "\n", encoding="utf-8", newline="")

    def official(self, split, *rows):
        """The official CSV instead of the TSV."""
        (self.root / f"{split}.tsv").unlink()
        with (self.root / f"{split}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([["audiocap_id", "youtube_id", "start_time", "caption"], *rows])

    def run(self, *arguments):
        """The exit code."""
        try:
            audiocaps_dataset.main(["--conf", str(self.conf), "--workers", "1", *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def clips(self, split):
        return read_clips(self.features / "audio_info.pkl", split, "")

    def captions(self, split):
        return read_text_table(self.features / f"{split}_text.csv", "")

    def rejected(self, split):
        with (self.features / f"{split}_rejected.csv").open(newline="", encoding="utf-8") as stream:
            return [tuple(row) for row in csv.reader(stream)][1:]


@pytest.fixture
def audiocaps(tmp_path):
    return AudioCaps(tmp_path)


def test_a_nasty_tsv(audiocaps, capsys):
    folder = audiocaps.root / "audio" / "val"
    for number in range(1, 4):
        write_clip(folder / f"{number}.flac", seed=number)
    (folder / "4.flac").write_bytes(b"no audio at all")
    (folder / "notes.txt").touch()
    write_clip(folder / "lonely.flac", seed=9)
    where = "audiocaps/audio/val"
    audiocaps.write(
        "val",
        f"a\t{where}/1.flac\tA bell\trings\t\t",
        f'b\t{where}/1.flac\t"A bell, ""ding"", rings"',
        f'c\t{where}/2.flac\t"Rain',
        f"d\t{where}/2.flac\tNone",
        f"e\t{where}/3.flac",
        f'f\t{where}/3.flac\t"Wind blows',
        'and howls"',
        f"g\t{where}/4.flac\tBroken",
        f"h\t{where}/5.flac\tMissing",
        f"i\t../{where}/3.flac\tOutside",
        "j\t/etc/passwd\tOutside",
        "k\t\tNowhere",
        f"\t{where}/0.flac\tWithout an id",
        f"m\t./{where}//0.flac\t  ?!  ",
    )
    assert audiocaps.run() == 0
    assert [(c.fname, c.raw_text, c.text, c.source_id) for c in audiocaps.captions("val")] == [
        ("0.flac", "A dog barks.", "a dog barks", "val-0"),
        ("1.flac", "A bell rings", "a bell rings", "a"),
        ("1.flac", 'A bell, "ding", rings', "a bell ding rings", "b"),
        ("2.flac", "Rain", "rain", "c"),
        ("2.flac", "None", "none", "d"),
        ("3.flac", "Wind blows and howls", "wind blows and howls", "f"),
        ("0.flac", "Without an id", "without an id", "val.tsv line 15"),
    ]
    clips = audiocaps.clips("val")
    assert [(c.path, c.source_id) for c in clips] == [
        (f"audio/val/{n}.flac", f"audiocaps/audio/val/{n}.flac") for n in range(4)
    ]
    assert [(c.duration_s, c.sample_rate_hz, c.channels) for c in clips] == [(0.1, 8000, 1)] * 4
    outside = "leads out of data.root, expected a path under it"
    broken = "cannot be decoded: Format not recognised"
    assert audiocaps.rejected("val") == [
        ("caption", "val.tsv line 7", "2 fields, a row has 3"),
        ("caption", "h", f"without a clip: '{where}/5.flac': no such file"),
        ("caption", "i", f"without a clip: '../{where}/3.flac': {outside}"),
        ("caption", "j", f"without a clip: '/etc/passwd': {outside}"),
        ("caption", "k", "without a clip: '': no file is named"),
        (
            "clip",
            "audio/val/notes.txt",
            f"extension '.txt' is none of {', '.join(sorted(AUDIO_SUFFIXES))}",
        ),
        ("clip", "audio/val/lonely.flac", "no row of val.tsv names it"),
        ("clip", "audio/val/4.flac", broken),
        ("caption", "g", f"without a clip: 'audio/val/4.flac': {broken}"),
        ("caption", "m", "no words in '  ?!  '"),
    ]
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("val: "))
    assert line.startswith("val: 13 rows of val.tsv; repairs: caption in quotes: 2; ")
    for repair in (
        "tab within the caption: 1",
        "tabs at the end: 1",
        "unbalanced quote: 1",
        "caption over several lines: 1",
        "caption such as None or NA: 1",
    ):
        assert repair in line
    assert "train: 1 rows of train.tsv; repairs: none" in printed
    row = next(line for line in printed.splitlines() if "val" in line and "│" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["val", "4", "7", "0.0", "3", "7"]
    assert f"next: python -m preprocessing.audio_logmel --conf {audiocaps.conf}" in printed  # of a retrieval run


@pytest.mark.parametrize("place", ["", "audiocaps", "audiocaps/audio", "audiocaps/audio/val"])
def test_prefixes_are_resolved_whichever_folder_is_the_root(audiocaps, tmp_path, place):
    root = tmp_path / place
    rows = [TableRow(n, {"audio": f"audiocaps/audio/val/{n}.flac"}) for n in range(3)]
    found = tsv_files(root, rows)
    assert found[0] == tmp_path / "audiocaps/audio/val/0.flac"
    assert found[1:] == [f"without a clip: 'audiocaps/audio/val/{n}.flac': no such file" for n in (1, 2)]


def test_a_missing_clip_is_not_taken_for_another_of_its_name(audiocaps):
    write_clip(audiocaps.root / "1.flac")  # another recording, where fewer folders lead
    audiocaps.write("val", "a\taudiocaps/audio/val/1.flac\tRain", "b\taudiocaps/audio/val/2.flac\tRain")
    assert audiocaps.run() == 0
    assert [c.fname for c in audiocaps.clips("val")] == ["0.flac"]
    assert [name for _, name, _ in audiocaps.rejected("val")] == ["a", "b"]


def test_clips_of_one_name_in_two_folders_are_two(audiocaps):
    write_clip(audiocaps.root / "audio" / "more" / "0.flac", seed=5)
    audiocaps.write("val", "a\taudiocaps/audio/more/0.flac\tRain")
    assert audiocaps.run("--strict") == 0
    assert [c.path for c in audiocaps.clips("val")] == ["audio/val/0.flac", "audio/more/0.flac"]
    first, second = audiocaps.captions("val")
    assert [first.fid, second.fid] == [c.fid for c in audiocaps.clips("val")]


def test_columns_in_another_order_windows_line_ends_and_a_byte_order_mark(audiocaps):
    content = "note\ttext\taudio\tuniq_id\r\nx\tA dog\tbarks\taudiocaps/audio/val/0.flac\t1\r\n"
    (audiocaps.root / "val.tsv").write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert audiocaps.run() == 0
    assert [(c.raw_text, c.source_id) for c in audiocaps.captions("val")] == [("A dog barks", "1")]


def test_the_official_csv(audiocaps):
    folder = audiocaps.root / "test"
    write_clip(folder / "-a_b_C.wav", seed=1)
    write_clip(folder / "_x-30_30.ogg", seed=2)
    write_clip(audiocaps.root / "audio" / "test" / "_x-30.wav", seed=3)
    write_clip(audiocaps.root / "audio" / "zz_100.wav", seed=4)
    write_clip(audiocaps.root / "top.wav", seed=5)
    write_clip(folder / "two.wav", seed=6)
    audiocaps.official(
        "test",
        ["1", "-a_b_C", "30", "A dog, then rain"],
        ["2", "-a_b_C", "30", 'A "loud" dog'],
        ["3", "_x-30", "30", "NA"],
        ["4", "zz", "100.0", "Wind"],
        ["5", "top", "0", "A bell"],
        ["6", "gone", "7", "A cat"],
        ["7", "two", "10", "One"],
        ["8", "two", "40", "Other"],
        ["9", "", "40", "Nobody"],
    )
    assert audiocaps.run() == 0
    assert [(c.fname, c.raw_text, c.source_id) for c in audiocaps.captions("test")] == [
        ("-a_b_C.wav", "A dog, then rain", "1"),
        ("-a_b_C.wav", 'A "loud" dog', "2"),
        ("_x-30_30.ogg", "NA", "3"),
        ("zz_100.wav", "Wind", "4"),
        ("top.wav", "A bell", "5"),
    ]
    assert [(c.path, c.source_id) for c in audiocaps.clips("test")] == [
        ("test/-a_b_C.wav", "-a_b_C"),
        ("test/_x-30_30.ogg", "_x-30"),
        ("audio/zz_100.wav", "zz"),
        ("top.wav", "top"),
    ]
    starts = "holds one of the starts 10, 40, and does not say which; name it two_<start_time>.wav"
    assert audiocaps.rejected("test") == [
        ("caption", "6", "without a clip: 'gone_7.*' or 'gone.*': no such file"),
        ("caption", "7", f"without a clip: 'two.wav': {starts}"),
        ("caption", "8", f"without a clip: 'two.wav': {starts}"),
        ("caption", "9", "without a clip: no youtube_id"),
        ("clip", "test/two.wav", "no row of test.csv names it"),
    ]


def test_an_official_csv_whose_captions_lack_quotes_is_repaired(tmp_path):
    lines = [
        "audiocap_id,youtube_id,start_time,caption",
        "1,a,30,A dog, then rain",
        '2,b,30,"Wind',
        '3,c,30,"Rain, drops',
        'fall, on tin"',
        "4,d,30,Last",
    ]
    (tmp_path / "val.csv").write_text("\n".join(lines))
    table = read_loose_table(tmp_path / "val.csv", CSV_FORM)
    assert [row.values["caption"] for row in table.rows] == [
        "A dog, then rain",
        "Wind",
        "Rain, drops fall, on tin",
        "Last",
    ]
    assert csv_files(tmp_path, "val", table.rows)[3] == "without a clip: 'd_30.*' or 'd.*': no such file"


def test_the_tsv_goes_first(audiocaps, capsys):
    (audiocaps.root / "val.csv").write_text("audiocap_id,youtube_id,start_time,caption\n")
    assert audiocaps.run() == 0
    assert f"val: reads {audiocaps.root}/val.tsv, not val.csv, which is there too" in capsys.readouterr().out
    assert [c.source_id for c in audiocaps.captions("val")] == ["val-0"]


def test_strict_tells_what_is_missing_and_writes_the_same(audiocaps):
    assert audiocaps.run("--strict") == 0
    audiocaps.write("train", "x\taudiocaps/audio/train/9.flac\tRain")
    assert audiocaps.run("--strict") == 1
    assert [c.source_id for c in audiocaps.captions("train")] == ["train-0"]
    assert audiocaps.run() == 0


def test_workers_and_a_second_run_write_the_same(audiocaps):
    for number in range(1, 9):
        write_clip(audiocaps.root / "audio" / "train" / f"{number}.flac", seed=number)
    audiocaps.write("train", *(f"{n}\taudiocaps/audio/train/{n}.flac\tA bell {n}" for n in range(1, 9)))
    tables = []
    for arguments in ([], [], ["--workers", "3"]):
        if arguments:
            (audiocaps.features / "audio_info.pkl").unlink()
        assert audiocaps.run(*arguments) == 0
        tables.append((audiocaps.clips("train"), audiocaps.captions("train")))
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0][0]) == 9
    notes = load_pickle(audiocaps.features / "audio_info.pkl", "")[1]
    assert notes["made_by"] == f"python -m preprocessing.audiocaps_dataset --conf {audiocaps.conf}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "val.tsv",
            "uniq_id\tpath\ttext\n",
            "val.tsv: column audio is missing: found the columns uniq_id, path, text, expected uniq_id, audio, text "
            "with tabs between them; correct the first line",
        ),
        (
            "val.csv",
            "audiocap_id,youtube_id,caption\n",
            "val.csv: column start_time is missing: found the columns audiocap_id, youtube_id, caption, expected "
            "audiocap_id, youtube_id, start_time, caption with commas between them; correct the first line",
        ),
        ("val.md", "", "found no captions of split 'val', expected"),
        (
            "val.tsv",
            "uniq_id\taudio\ttext\n1\t2.flac\tRain\n3\n",
            "is empty: 1 audio files, such as 'audio/val/0.flac'; 2 captions, the first 1 fields, a row",
        ),
    ],
)
def test_tables_that_are_none_are_one_line(audiocaps, capsys, name, content, message):
    (audiocaps.root / "val.tsv").unlink()
    (audiocaps.root / name).write_text(content)
    assert audiocaps.run() == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_a_root_that_is_missing_is_one_line(audiocaps, capsys):
    assert audiocaps.run("--set", "data.root=/no/such") == 2
    error = capsys.readouterr().err
    assert "error: data.root: folder /no/such does not exist; correct it, or make the corpus: python -m" in error


def test_the_embedded_corpus_gives_the_tables_that_clotho_dataset_makes_of_it(tmp_path):
    write_corpus(tmp_path / "corpus", {"development": 3, "validation": 1, "evaluation": 1}, seed=0, workers=1)
    conf = str(tiny.write_conf(tmp_path))
    rows = []
    for script in (clotho_dataset, audiocaps_dataset):
        script.main(["--conf", conf, "--strict", "--workers", "1"])
        captions = [c for split in tiny.SPLITS for c in read_text_table(tmp_path / f"features/{split}_text.csv", "")]
        clips = [c.fid for split in tiny.SPLITS for c in read_clips(tmp_path / "features/audio_info.pkl", split, "")]
        rows.append((clips, [c[:5] for c in captions]))
        source = captions[1].source_id, read_clips(tmp_path / "features/audio_info.pkl", "evaluation", "")[0].source_id
    assert rows[0] == rows[1]
    assert len(rows[0][1]) == 25
    assert source == ("dev_000000_2", "corpus/evaluation/eval_000000.wav")  # and not that of the earlier tables


def test_later_scripts_run_unchanged_on_its_tables(audiocaps, tmp_path):
    tiny.write_sentence_encoder(tmp_path / "encoder")
    write_clip(audiocaps.root / "audio" / "test" / "1.flac", seed=7)
    audiocaps.write("test", "a\taudiocaps/audio/test/1.flac\tRain\tfalls", "b\taudiocaps/audio/test/1.flac\tNA")
    assert audiocaps.run() == 0
    for script in (audio_logmel, sbert_embeddings):
        script.main(["--conf", str(audiocaps.conf)])
    with (audiocaps.features / "sbert_embeds.pkl").open("rb") as stream:
        vectors = pickle.load(stream)  # noqa: S301 - written here
    assert set(vectors) == {c.tid for split in SPLITS for c in audiocaps.captions(split)}
    assert all((audiocaps.features / f"{split}_audio_logmels.hdf5").is_file() for split in SPLITS)
