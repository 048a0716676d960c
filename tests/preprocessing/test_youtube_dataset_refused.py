"""Lists that cannot be learnt from are refused by the command: exit code 2, one line, and no table is written."""

import pytest

from tests.preprocessing.labelled_corpus import Corpus

DOGS = [f"dog/{number}.wav,dog" for number in range(3)]
CATS = [f"cat/{number}.wav,cat" for number in range(3)]
REFUSED = {
    "no line at all": ([], "list.csv: is empty; expected a CSV with the columns url, category"),
    "no row": (["url,category"], "list.csv: has no row below its header; add recordings"),
    "an unknown column": (
        ["url,category,mood", *(f"{row},good" for row in DOGS + CATS)],
        "list.csv: unknown column mood; expected url, category and perhaps id, channel, start_s, end_s, split",
    ),
    "a misspelt column": (["url,categroy", *DOGS], "list.csv: column category is missing: found url, categroy"),
    "one recording": (
        ["url,category", *DOGS, CATS[0]],
        "list.csv, line 5: category 'cat' has one recording, expected at least 2: one to train with and one to measure",
    ),
    "one category": (["url,category", *DOGS], "expected at least 2 to tell apart; add recordings of others"),
    "case": (
        ["url,category", *DOGS, *CATS, "dog/3.wav,Dog"],
        "list.csv, line 8: category 'Dog' differs from 'dog' (line 2) in case or blanks alone; write them alike",
    ),
    "blanks": (
        ["url,category", "dog/0.wav,guide dog", "dog/1.wav,guide  dog", *CATS],
        "list.csv, line 3: category 'guide  dog' differs from 'guide dog' (line 2) in case or blanks alone",
    ),
    "a category that training lacks": (
        ["url,category,split", *(f"{row},train" for row in DOGS[:2]), f"{DOGS[2]},test", *(f"{r},val" for r in CATS)],
        "list.csv, line 5: category 'cat' is in 'validation', and 'development' has no recording of it",
    ),
    "audio of zero length": (
        ["url,category", *DOGS, CATS[0], "cat/empty.wav,cat"],
        "list.csv, line 5: category 'cat' has one recording that can be used, expected at least 2",
    ),
}


@pytest.mark.parametrize(("lines", "said"), REFUSED.values(), ids=REFUSED)
def test_one_line_says_what_to_repair(tmp_path, monkeypatch, capsys, lines, said):
    corpus = Corpus(tmp_path, monkeypatch).write_folders(seconds=0.5)
    corpus.write("cat/empty.wav", 0, 0.0)
    table = tmp_path / "list.csv"
    table.write_text("".join(f"{line}\n" for line in lines))
    assert corpus.run(table=str(table)) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    (error,) = [line for line in err.splitlines() if "recordings: decoding" not in line and line.strip()]
    assert error.startswith("error: ")
    assert said in error
    assert not corpus.data.audio_info.exists()
    assert not corpus.data.labels.exists()


def test_audio_of_zero_length_is_named_and_the_rest_goes_on(tmp_path, monkeypatch, capsys):
    corpus = Corpus(tmp_path, monkeypatch).write_folders(seconds=0.5)
    corpus.write("cat/empty.wav", 0, 0.0)
    assert corpus.run() == 0
    assert "cat/empty.wav,not media,holds no samples" in corpus.data.failed.read_text()
    assert (
        "of 9 recordings 8 are there (0 of them fetched or cut now); 1 are not: 1 not media" in capsys.readouterr().out
    )
