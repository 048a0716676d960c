"""The table of captions: every clip once, whatever kills it; the best of several by a retrieval run."""

import csv

import pytest

from postprocessing import captions
from tasks.captioning.task import CaptioningTask
from tests.children import KilledAt, in_child
from tests.tasks.captioning.conftest import _corpora, made, sounds  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils import read_captions


def run(made, *arguments, settings=()):  # noqa: F811
    given = [part for setting in settings for part in ("--set", setting)]
    captions.main(["--conf", made.conf, *arguments, *given])


def table_of(trained, split="evaluation"):
    return trained.folder / f"{split}_captions.csv"


def test_every_clip_has_a_row_and_the_next_command_is_named(made, capsys):  # noqa: F811
    trained = made.run()
    write_trial(trained)
    run(made)
    printed = capsys.readouterr().out
    rows = read_captions(table_of(trained))
    data = trained.build("eval").data("eval")
    assert [(row.id, row.references) for row in rows] == [
        (clip.fid, own) for clip, own in zip(data.clips, data.references, strict=True)
    ]
    with table_of(trained).open(newline="") as stream:
        assert next(csv.reader(stream)) == ["id", "references", "hypothesis"]
    last = printed.splitlines()[-1]
    assert last.endswith(f"-m postprocessing.caption_metrics --conf {made.conf}")
    assert f"{data.clips[0].fname}: '{rows[0].hypothesis}'; people: '{rows[0].references[0]}'" in printed
    run(made, "--batch-size", "1")
    assert read_captions(table_of(trained)) == rows


def test_a_killed_run_goes_on_and_writes_the_same(sounds, monkeypatch):  # noqa: F811
    trained = sounds.run()
    folder = write_trial(trained)
    run(sounds, "--batch-size", "1")
    whole = (folder / "evaluation_captions.csv").read_bytes()
    for path in (folder / "evaluation_captions.csv", table_of(trained)):
        path.unlink()
    killed = KilledAt()
    monkeypatch.setattr(CaptioningTask, "written", killed.counted(CaptioningTask.written))
    killed.restart(3)
    child = in_child(lambda: run(sounds, "--batch-size", "1"))
    child.join(120)
    assert child.exitcode == -9
    parts = folder / "evaluation_captions.parts.jsonl"
    assert len(parts.read_text().splitlines()) == 3  # what it is made with, and two batches
    with parts.open("a") as stream:
        stream.write('{"half')
    killed.restart()
    run(sounds, "--batch-size", "1")
    assert killed.count == 2
    assert (folder / "evaluation_captions.csv").read_bytes() == whole
    assert not parts.exists()


def test_lines_of_other_settings_are_not_used(sounds, monkeypatch):  # noqa: F811
    folder = write_trial(sounds.run())
    parts = folder / "evaluation_captions.parts.jsonl"
    parts.write_text('{"made_with": "other"}\n{"x": "y"}\n')
    run(sounds)
    assert not parts.exists()
    assert {row.id for row in read_captions(table_of(sounds.run()))} == {
        clip.fid for clip in sounds.run().build("eval").data("eval").clips
    }


def test_generation_can_be_chosen_anew_and_training_cannot(sounds, capsys):  # noqa: F811
    write_trial(sounds.run())
    run(sounds, settings=["generation.max_new_tokens=1"])
    assert all(len(row.hypothesis.split()) <= 1 for row in read_captions(table_of(sounds.run())))
    with pytest.raises(SystemExit):
        run(sounds, settings=["training.batch_size=3"])
    assert "was trained with 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "--rerank: generation.method is greedy, which writes one caption of a clip"),
        (["generation={method: beam, num_beams: 2}"], "--candidates: found 4, generation.num_beams is 2"),
    ],
)
def test_nothing_to_choose_from_is_refused(sounds, settings, message, capsys):  # noqa: F811
    write_trial(sounds.run())
    with pytest.raises(SystemExit) as stop:
        run(sounds, "--rerank", "runs/demo", settings=settings)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
