"""Trials that Optuna draws: from what ended ones have reported, and the same ones after a resume."""

import json

import pytest

from tests.utils.tune_utils.searches import search_for
from utils.cli_utils import ArtefactError
from utils.model_utils.trials import TrialEnd, write_end
from utils.tune_utils.draws import add_trial, are_drawn, epochs_of_trials, trials_of
from utils.tune_utils.suggestions import searcher_of, suggest

SPACE = {
    "optimizer.lr": {"loguniform": [1e-4, 1.0]},
    "optimizer.weight_decay": {"qloguniform": [0.25, 4.0, 0.25]},
    "data.workers": {"randint": [0, 3]},
    "data.splits.eval": {"choice": ["evaluation", {"name": "other"}]},
}


def searched(folder, trials, seed=0):
    """A search whose trials have all ended; val_loss is the distance of the learning rate from 0.01."""
    search = search_for(folder, SPACE, num_samples=trials, seed=seed, search_alg="optuna")
    drawn = trials_of(search)
    while not are_drawn(search, drawn):
        name = add_trial(search, drawn, suggest(search, drawn))
        trial = folder / name
        trial.mkdir()
        loss = abs(drawn[name]["optimizer.lr"] - 0.01)
        rows = [{"epoch": 1, "val_loss": loss + 1}, {"epoch": 2, "val_loss": loss}, {"epoch": 3, "val_loss": 2.0}]
        (trial / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_end(trial, TrialEnd("finished", 3))
    return search, drawn


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("whole"), 24)


def test_draws_are_of_the_distributions_and_written_down_as_they_come(whole):
    search, drawn = whole
    assert trials_of(search) == drawn
    for draw in drawn.values():
        assert list(draw) == list(SPACE)
        assert 1e-4 <= draw["optimizer.lr"] <= 1
        assert draw["optimizer.weight_decay"] in [step / 4 for step in range(1, 17)]
        assert draw["data.workers"] in (0, 1, 2)
        assert draw["data.splits.eval"] in ("evaluation", {"name": "other"})


def test_later_draws_come_closer_to_what_was_good(whole):
    """The first ten are random; val_loss is least at a learning rate of 0.01."""
    losses = [abs(draw["optimizer.lr"] - 0.01) for draw in whole[1].values()]
    assert sum(losses[10:]) / 14 < sum(losses[:10]) / 10 / 2


def test_a_resumed_search_draws_what_one_draws_that_was_never_interrupted(whole, tmp_path):
    search, drawn = searched(tmp_path, 12)  # a new process knows the files alone: nothing else is held between draws
    assert list(drawn.items()) == list(whole[1].items())[:12]
    assert are_drawn(search, drawn)
    assert searched(tmp_path / "other", 2, seed=1)[1] != dict(list(drawn.items())[:2])


def test_a_trial_that_diverged_counts_as_the_worst_and_one_that_runs_not_at_all(tmp_path):
    search, drawn = searched(tmp_path, 11)
    good = min(drawn.values(), key=lambda draw: abs(draw["optimizer.lr"] - 0.01))
    beside_running = suggest(search, drawn | {"trial_00011": good})
    assert suggest(search, drawn | {"trial_00011": drawn["trial_00000"]}) == beside_running
    (tmp_path / "trial_00011").mkdir()
    write_end(tmp_path / "trial_00011", TrialEnd("diverged", 0, "the loss is nan"))
    assert suggest(search, drawn | {"trial_00011": good}) != beside_running


def test_ray_tune_asks_until_there_are_no_more():
    names = iter(["a", "b"])
    searcher = searcher_of(lambda: next(names, None) and {"name": "x"}, 2)
    assert searcher.suggest("1") == {"trial": {"name": "x"}}
    assert searcher.suggest("2") == {"trial": {"name": "x"}}
    assert searcher.suggest("3") is None  # two run already
    searcher.on_trial_complete("1")
    assert searcher.suggest("3") == "FINISHED"


def test_trials_that_are_not_drawn_yet_may_take_all_epochs(tmp_path):
    search = search_for(tmp_path, {"training.epochs": {"choice": [2, 5]}}, num_samples=3, search_alg="optuna")
    assert trials_of(search) == {}
    assert not list(tmp_path.iterdir())
    assert epochs_of_trials(search, {"trial_00000": {"training.epochs": 2}}) == {
        "trial_00000": 2,
        "trial_00001": 5,
        "trial_00002": 5,
    }


def test_the_record_of_another_search_is_refused(tmp_path):
    search, _ = searched(tmp_path, 1)
    other = search_for(tmp_path, {"optimizer.lr": SPACE["optimizer.lr"]}, 3, search_alg="optuna")
    with pytest.raises(ArtefactError, match="trial_00000 draws"):
        trials_of(other)
    assert len(trials_of(search)) == 1
