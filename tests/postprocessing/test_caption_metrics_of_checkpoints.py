"""Which checkpoint and which settings the measured captions are of: as noted when they were written, or refused."""

import json

import pytest

from postprocessing import caption_metrics, captions
from tests import tiny
from tests.pages import read
from tests.tasks.captioning.conftest import _corpora, sounds  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils import CaptionRow, read_captions, write_captions


@pytest.fixture
def captioned(sounds, monkeypatch):  # noqa: F811
    """A trial of two checkpoints, and what it says of the evaluation split with the one that is not the best."""
    monkeypatch.chdir(sounds.folder)
    tiny.write_sentence_encoder(sounds.folder / "sentences")
    write_trial(sounds.run())
    return sounds


def caption(made, *arguments):
    captions.main(["--conf", made.conf, *arguments])


def measure(made, *arguments):
    networks = [part for name in ("--sentence-model", "--bert-model") for part in (name, "sentences")]
    caption_metrics.main(["--conf", made.conf, *networks, "--bert-layers", "1", *arguments])


def refused(made, capsys, *arguments):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        measure(made, *arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def checkpoints(made, capsys):
    """Name of the best checkpoint, and of the other one."""
    caption(made)
    printed = capsys.readouterr().out
    names = sorted(path.name for path in (made.run().folder / "trial_00000").glob("checkpoint_*"))
    (best,) = [name for name in names if f"trial_00000/{name}" in printed]
    return best, next(name for name in names if name != best)


def made_from(made):
    return json.loads((made.run().folder / "evaluation_caption_metrics.json").read_text())["made_from"]


def test_captions_of_another_checkpoint_are_refused_and_measured_under_its_name(captioned, capsys):
    best, other = checkpoints(captioned, capsys)
    caption(captioned, "--checkpoint", other)
    error = refused(captioned, capsys)
    assert f"was written by '{other}', the command line means {best}; write it again: " in error
    assert f"-m postprocessing.captions --conf {captioned.conf}, or measure it as it is: " in error
    assert f"--checkpoint {other}" in error
    measure(captioned, "--checkpoint", other)
    report = json.loads((captioned.run().folder / "trial_00000" / "evaluation_caption_metrics.json").read_text())
    assert other in report["made_from"]["checkpoint"]
    caption(captioned)
    measure(captioned)
    assert best in made_from(captioned)["checkpoint"]


def test_generation_settings_are_named_or_refused(captioned, capsys):
    caption(captioned, "--set", "generation.max_new_tokens=1")
    capsys.readouterr()
    measure(captioned)
    line = "written with generation.max_new_tokens=1"
    assert line in capsys.readouterr().out
    assert line in [note.text for note in read(captioned.run().folder / "evaluation_captions.html").all("p")]
    found = made_from(captioned)
    assert (found["generation"]["max_new_tokens"], found["precision"], found["rerank"]) == (1, "fp32", None)
    error = refused(captioned, capsys, "--set", "generation.max_new_tokens=2")
    assert "was written with generation.max_new_tokens=1; leave generation out to measure it, or write it ag" in error
    measure(captioned, "--set", "generation.max_new_tokens=1")


def test_captions_that_were_edited_are_refused(captioned, capsys):
    caption(captioned)
    table = captioned.run().folder / "trial_00000" / "evaluation_captions.csv"
    rows = read_captions(table)
    write_captions(table, [rows[0]._replace(hypothesis="a dog"), *rows[1:]])
    error = refused(captioned, capsys)
    assert "evaluation_captions.csv: has changed since it was written" in error
    assert f"-m postprocessing.captions --conf {captioned.conf}" in error


def test_a_table_without_a_note_is_measured_with_a_line(captioned, capsys):
    caption(captioned)
    (captioned.run().folder / "trial_00000" / "evaluation_captions.made_with.json").unlink()
    measure(captioned)
    assert "evaluation_captions.csv: nothing beside it notes which checkpoint wrote it; to know: " in (
        capsys.readouterr().out
    )
    assert made_from(captioned)["checkpoint"] is None


def test_captions_of_other_clips_are_refused(captioned, capsys):
    table = captioned.run().folder / "trial_00000" / "evaluation_captions.csv"
    write_captions(table, [CaptionRow(f"other{number}", ["a dog"], "a dog") for number in range(8)])
    assert "8 of 8 ids are no clip of the split, the first is 'other0'" in refused(captioned, capsys)


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (lambda text: text.replace('"blake2b": "', '"blake2b": "0', 1), "was written by an earlier checkpoint_"),
        (lambda text: text[:-9], "evaluation_captions.made_with.json: not JSON"),
        (lambda text: "{}", "does not say what evaluation_captions.csv was made with; write it again: "),
    ],
)
def test_a_note_of_an_earlier_training_or_a_broken_one_is_refused(captioned, capsys, note, message):
    caption(captioned)
    path = captioned.run().folder / "trial_00000" / "evaluation_captions.made_with.json"
    path.write_text(note(path.read_text()))
    assert message in refused(captioned, capsys)
