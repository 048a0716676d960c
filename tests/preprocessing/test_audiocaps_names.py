"""AudioCaps' official CSV with clips that are named as other programs and mirrors of AudioSet name them."""

import csv

import pytest

from tests.preprocessing.test_audiocaps_dataset import AudioCaps, write_clip

IDS = ("0egPI3pEow", "-0PQM4-hqg", "--abcDEF_1", "_under_sc0")
FORMS = (
    "Y{id}",
    "{id}_{s}.000_{e}.000",
    "Y{id}_{s}.000_{e}.000",
    "{id}_{s}000_{e}000",
    "{id}_{s}_{e}",
    "{id}_{s}.0_{short}",
    "Y{id}_{s}",
    "{id}_{s}000",
)


class Named(AudioCaps):
    """One split of rows (id, start), and the files that lie there."""

    def official_rows(self, *rows):
        self.official("val", *([str(n), name, str(start), "A dog."] for n, (name, start) in enumerate(rows)))

    def found(self):
        """The file of each row that has one."""
        return {caption.source_id: caption.fname for caption in self.captions("val")}


@pytest.fixture
def named(tmp_path):
    return Named(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_every_spelling_is_found(named, form):
    starts = [30, 0, 110, 7]
    names = []
    for seed, (name, start) in enumerate(zip(IDS, starts, strict=True)):
        names.append(form.format(id=name, s=start, e=start + 10, short=start + 7.5) + ".wav")
        write_clip(named.root / "val" / names[-1], seed=seed)
    named.official_rows(*zip(IDS, starts, strict=True))
    assert named.run("--strict") == 0
    assert named.found() == {str(number): name for number, name in enumerate(names)}
    assert [clip.source_id for clip in named.clips("val")] == list(IDS)


def test_two_segments_of_one_recording_are_told_apart(named):
    for seed, name in enumerate(("abc_30.000_40.000.wav", "abc_130.000_140.000.wav")):
        write_clip(named.root / "val" / name, seed=seed)
    named.official_rows(("abc", 130), ("abc", 30), ("abc", 60))
    assert named.run() == 0
    assert named.found() == {"0": "abc_130.000_140.000.wav", "1": "abc_30.000_40.000.wav"}
    assert named.rejected("val") == [("caption", "2", "without a clip: 'abc_60.*' or 'abc.*': no such file")]


def test_where_more_than_one_can_be_meant_none_is_taken(named):
    for seed, name in enumerate(("abc_30.000_40.000.wav", "Yabc_30000_40000.wav", "d_7.wav", "ok.wav")):
        write_clip(named.root / "val" / name, seed=seed)
    named.official_rows(("abc", 30), ("ok", 0), ("d_7", 1), ("d", 7))
    assert named.run() == 0
    assert named.found() == {"1": "ok.wav"}
    several = "Yabc_30000_40000.wav, abc_30.000_40.000.wav: more than one file can be meant"
    assert named.rejected("val")[:3] == [
        ("caption", "0", f"without a clip: {several}; keep one, or name it abc_30.*"),
        ("caption", "2", "without a clip: 'd_7.wav': may be d_7 or d_7_1; name it so"),
        ("caption", "3", "without a clip: 'd_7.wav': may be d_7 or d_7_1; name it so"),
    ]


def test_the_name_of_another_row_is_not_guessed_to_be_this_ones(named):
    write_clip(named.root / "val" / "Yabc.wav", seed=1)
    named.official_rows(("Yabc", 30), ("abc", 30))
    assert named.run() == 0
    assert named.found() == {"0": "Yabc.wav"}


def test_an_empty_split_counts_the_files_that_lie_there_and_shows_one(named, capsys):
    for seed in range(3):
        write_clip(named.root / "val" / f"clip number {seed}.wav", seed=seed)
    named.official_rows(("abc", 30), ("d", 7))
    assert named.run() == 2
    assert (
        "is empty: 4 audio files, such as 'val/clip number 0.wav'; 2 captions, the first without a clip: 'abc_30.*' or "
        "'abc.*': no such file; no clip has a caption; the reasons are in "
    ) in capsys.readouterr().err
    with (named.features / "val_rejected.csv").open(newline="") as stream:
        assert len(list(csv.reader(stream))) == 3
