"""Every script of stage 3 that takes a trained run says that the run is not finished, once and in one line."""

import json
import shutil

import pytest

from postprocessing import compare, ensemble, error_analysis, export, search, xmodal_retrieval, xmodal_scores, zero_shot
from tests.postprocessing.commands import command_of, run
from utils.artefact_utils import write_json

LINE = "tiny is not finished: trial_00000 is at epoch 2 of 7; trial_00000/checkpoint_000001 (epoch 2), the best so far"


@pytest.fixture
def unfinished(trained):
    """The trial of 2 epochs, as if it was to have 7."""
    folder = trained / "runs" / "tiny"
    path = folder / "trial_00000" / "params.json"
    params = json.loads(path.read_text())
    params["training"]["epochs"] = 7
    write_json(path, params)
    (path.parent / "result.json").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    record = {"run": params, "data": "", "revisions": {}, "finished": False}
    write_json(folder / "experiment.json", {"format_version": 1, **record})
    return trained


def commands(folder):
    labels = folder / "labels.csv"
    clips = sorted((folder / "corpus" / "evaluation").iterdir())
    labels.write_text(
        "file_name,label\n" + "".join(f"{c.name},{('dog', 'bell')[n % 2]}\n" for n, c in enumerate(clips))
    )
    runs = [str(folder / "runs" / "tiny"), str(folder / "runs" / "other")]
    return {
        xmodal_scores: [],
        xmodal_retrieval: [],
        error_analysis: [],
        search: ["a dog barks"],
        export: [],
        zero_shot: ["--labels", str(labels), "--audio", str(folder / "corpus" / "evaluation"), "--resamples", "10"],
        compare: [*runs, "--resamples", "100"],
        ensemble: [*runs, "--name", "both", "--weights", "0.5,0.5"],
    }


def test_all_scripts_say_it_once(unfinished, capsys):
    for module, arguments in commands(unfinished).items():
        if module is compare:  # another run that is finished
            shutil.copytree(unfinished / "runs" / "tiny", unfinished / "runs" / "other")
            (unfinished / "runs" / "other" / "experiment.json").unlink()
        result = run(module.main, capsys, unfinished, *arguments)
        assert result.code == 0, result.err
        assert result.out.count(LINE) == 1, module.__name__
        assert "learning_curves.png" not in result.out  # these rows hold no number that could be drawn
        if module not in (compare, ensemble):
            assert (
                f"is used; go on: {command_of(unfinished, 'main.py', '--set', 'training.epochs=7', '--resume')}"
                in result.out
            )


def test_a_finished_run_says_nothing(unfinished, capsys):
    path = unfinished / "runs" / "tiny" / "experiment.json"
    write_json(path, json.loads(path.read_text()) | {"finished": True})
    assert "not finished" not in run(xmodal_scores.main, capsys, unfinished).out
