"""Which numbers of a trial's epochs learning_curves.png shows."""

import json

import pytest

from postprocessing import xmodal_retrieval, xmodal_scores
from tests.postprocessing.commands import run


def write_history(folder, **numbers):
    """Two epochs of the trial, each number and half of it."""
    rows = [{"epoch": n + 1, **{key: value / (n + 1) for key, value in numbers.items()}} for n in range(2)]
    path = folder / "runs" / "tiny" / "trial_00000" / "result.json"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.fixture
def drawn(monkeypatch):
    """The panels that were drawn last."""
    panels = {}
    monkeypatch.setattr(
        xmodal_retrieval,
        "plot_curves",
        lambda path, title, epochs, shown, chosen: panels.update({p.title: dict(p.lines) for p in shown if p.lines}),
    )
    monkeypatch.setattr(xmodal_retrieval.SplitScores, "publish", lambda self, path: path)
    return panels


def test_the_losses_and_which_of_them_compare(trained, drawn, capsys):
    run(xmodal_scores.main, capsys, trained)
    passes = {"train_pass_loss": 4.0, "eval_pass_loss": 3.0}
    write_history(trained, train_loss=8.0, val_loss=2.0, **passes, **{"mAP@10": 0.5, "R@1": 0.25, "other": 1.0})
    result = run(xmodal_retrieval.main, capsys, trained)
    assert "learning_curves.png" in result.out
    assert drawn == {
        "loss (train_loss: of other batches than the others)": {
            "train_loss": [8, 4],
            "val_loss": [2, 1],
            "train_pass_loss": [4, 2],
            "eval_pass_loss": [3, 1.5],
        },
        "validation, text to audio": {"mAP@10": [0.5, 0.25], "R@1": [0.25, 0.125]},
    }


def test_rows_without_numbers_that_are_drawn_give_no_picture(trained, drawn, capsys):
    run(xmodal_scores.main, capsys, trained)
    write_history(trained, other=1.0)
    result = run(xmodal_retrieval.main, capsys, trained)
    assert result.code == 0
    assert "learning_curves.png" not in result.out
    assert drawn == {}
