import csv
import re

import numpy as np
import pytest
import soundfile

from postprocessing import search, xmodal_retrieval, xmodal_scores
from tests.postprocessing.commands import error_of, run
from tests.tiny import SPLITS, write_sentence_encoder


def hits(out):
    """Clips and scores of each printed table."""
    rows = re.findall(r"│ (\w+ \d\.wav) +│ .*? │ +(-?\d+\.\d{4}) │", out)
    starts = [n for n, _ in enumerate(rows) if n % 4 == 0]
    return [[(name, float(score)) for name, score in rows[n : n + 4]] for n in starts]


def test_captions_of_the_split_rank_as_in_the_table(trained, capsys):
    run(xmodal_scores.main, capsys, trained)
    run(xmodal_retrieval.main, capsys, trained)
    with (trained / "runs" / "tiny" / "evaluation.t2a_retrieval.csv").open(newline="") as stream:
        _, *rows = csv.reader(stream)
    chosen = [rows[0], rows[5]]
    result = run(search.main, capsys, trained, *(row[0] for row in chosen))
    assert [[name for name, _ in table] for table in hits(result.out)] == [row[1:] for row in chosen]
    assert "embedding" not in result.out  # the stored vectors are used
    for table in hits(result.out):
        assert [score for _, score in table] == sorted((score for _, score in table), reverse=True)


def test_without_scores_the_clips_are_embedded_anew(trained, capsys):
    first = run(search.main, capsys, trained, "a dog barks twice")
    assert "evaluation_xmodal_scores.hdf5 is not there: embedding 4 clips" in first.out
    run(xmodal_scores.main, capsys, trained)
    second = run(search.main, capsys, trained, "a dog barks twice")
    assert hits(first.out) == hits(second.out)


def test_scores_of_another_checkpoint_are_not_used(trained, capsys):
    alone = run(search.main, capsys, trained, "a bell rings", "--checkpoint", "checkpoint_000000")
    run(xmodal_scores.main, capsys, trained, "--checkpoint", "checkpoint_000001")
    again = run(search.main, capsys, trained, "a bell rings", "--checkpoint", "checkpoint_000000")
    assert hits(again.out) == hits(alone.out)


def test_a_clip_finds_itself(trained, capsys):
    clips = [trained / "corpus" / "evaluation" / f"evaluation {n}.wav" for n in (2, 0)]
    result = run(search.main, capsys, trained, "--audio", str(clips[0]), "--audio", str(clips[1]))
    first, second = hits(result.out)
    assert first[0] == ("evaluation 2.wav", pytest.approx(1.0, abs=2e-4))
    assert second[0] == ("evaluation 0.wav", pytest.approx(1.0, abs=2e-4))


def test_several_files_after_one_option_and_words_one_by_one(trained, capsys):
    clips = [str(trained / "corpus" / "evaluation" / f"evaluation {n}.wav") for n in (2, 0)]
    result = run(search.main, capsys, trained, "--audio", *clips, "--top", "4")
    assert [table[0][0] for table in hits(result.out)] == ["evaluation 2.wav", "evaluation 0.wav"]
    result = run(search.main, capsys, trained, "--each", "dog", "rain")
    assert [f'"{word}" in 4 clips' in result.out for word in ("dog", "rain")] == [True, True]
    result = run(search.main, capsys, trained, "--audio", *clips, "a dog", "rain", "--top", "4")  # texts behind files
    assert len(hits(result.out)) == 4
    assert [table[0][0] for table in hits(result.out)[2:]] == ["evaluation 2.wav", "evaluation 0.wav"]
    sentences = run(search.main, capsys, trained, "a dog", "rain")
    assert [f'"{text}" in 4 clips' in sentences.out for text in ("a dog", "rain")] == [True, True]


def test_text_and_sound_in_one_command_and_the_number_of_clips(trained, capsys):
    clip = trained / "corpus" / "evaluation" / "evaluation 1.wav"
    result = run(search.main, capsys, trained, "rain [loud]", "--audio", str(clip), "--top", "2")
    assert "\"rain [loud]\" in 4 clips of 'evaluation'" in result.out
    assert "\"evaluation 1.wav\" in 4 clips of 'evaluation'" in result.out
    assert len(re.findall(r"│ evaluation \d\.wav", result.out)) == 4


def test_another_split_and_all_of_them(trained, capsys):
    one = run(search.main, capsys, trained, "a dog barks", "--split", "train", "--top", "3")
    assert "\"a dog barks\" in 8 clips of 'development'" in one.out
    result = run(search.main, capsys, trained, "a dog barks", "--all-splits", "--top", "16")
    assert "\"a dog barks\" in 16 clips of 'development', 'validation', 'evaluation'" in result.out
    found = re.findall(r"│ (\w+)/(\w+) (\d)\.wav", result.out)
    assert sorted(found) == sorted((s, s, str(n)) for s, clips in SPLITS.items() for n in range(clips))
    best = re.findall(r"│ (?:development/)?(development \d\.wav) ", result.out)
    assert best[:3] == re.findall(r"│ (development \d\.wav) ", one.out)


def test_any_folder(trained, capsys):
    folder = trained / "corpus" / "validation"
    (folder / "broken.wav").write_bytes(b"no sound")
    result = run(search.main, capsys, trained, "a dog barks", "--folder", str(folder), "--top", "2")
    assert f"left out: {folder / 'broken.wav'}: cannot be decoded: " in result.out
    assert f'"a dog barks" in 4 sound files below {folder}' in result.out
    assert len(re.findall(r"│ validation \d\.wav +│ +-?\d\.\d{4} │", result.out)) == 2
    for path in folder.glob("validation*"):
        path.unlink()
    message = error_of(run(search.main, capsys, trained, "a dog barks", "--folder", str(folder)))
    assert message.endswith(f"no sound file below {folder} can be embedded; name another folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dog", "--folder", "x", "--all-splits"], "--folder and --all-splits: each says where to search; give one"),
        (["dog", "--folder", "x", "--split", "val"], "--folder and --split: each says where to search; give one of"),
        (["dog", "--folder", "x"], "folder: folder x does not exist; name the folder of the sounds"),
        ([], "nothing to search for; give a text in quotes, or --audio FILE"),
        (["a", "dog", "barks"], "found 3 queries of one word each; put a text in quotes: "),
        (["a", "dog", "barks"], "postprocessing.search --conf "),
        (["a", "dog", "barks"], "'a dog barks'; or search for each word: "),
        (["a", "dog", "barks"], "--each a dog barks"),
        (["barking.wav"], "'barking.wav': no such file; correct the path, and name sounds after --audio"),
        (["--audio", "a dog"], "a dog: no such file; name sound files after --audio"),
        (["--audio", __file__, "gone.wav"], "gone.wav: no such file; name sound files after --audio"),
        (["--audio", "/"], "/: is a folder; name sound files after --audio"),
        ([__file__], f"'{__file__}' is a file, not a text; search by it with "),
        (["rain", "--audio", __file__, "--top", "2"], f"{__file__}: cannot be decoded: "),
        ([" "], "nothing to search for; give a text in quotes, or --audio FILE"),
        (["--audio", "none.wav"], "none.wav: "),
        (["dog", "--trial", "x"], "trial 'x' does not exist; choices: trial_00000"),
    ],
)
def test_bad_queries_are_refused_in_one_line(arguments, message, trained, capsys):
    assert message in error_of(run(search.main, capsys, trained, *arguments))


def test_top_is_a_whole_number_above_0(trained, capsys):
    result = run(search.main, capsys, trained, "dog", "--top", "0")
    assert result.code == 2
    assert "argument --top: expected a whole number above 0, got 0" in result.err


def test_sounds_that_cannot_be_read_are_named(trained, capsys):
    text, empty = trained / "text.wav", trained / "empty.wav"
    text.write_text("no sound")
    soundfile.write(empty, np.zeros(0), 44_100)
    for path in (text, empty):
        message = error_of(run(search.main, capsys, trained, "--audio", str(path)))
        assert message.startswith(f"{path}: ")
        assert message.endswith("give another sound file")


def test_a_text_model_that_has_changed_is_refused(trained, capsys):
    run(xmodal_scores.main, capsys, trained)
    write_sentence_encoder(trained / "encoder", seed=1)  # of the same name and width
    message = error_of(run(search.main, capsys, trained, "a dog barks twice"))
    assert f"{trained / 'encoder'}: is now sha256:" in message
    assert "made the run's text vectors, and what has their width need not be of their space" in message
