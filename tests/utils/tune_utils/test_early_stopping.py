import itertools

import numpy as np
import pytest

from tests.training import StubTraining
from utils.tune_utils import RaySpec
from utils.tune_utils.early_stopping import EarlyStopping
from utils.tune_utils.spec import PlateauStopperSpec

NAMES = [f"trial_{number:05d}" for number in range(9)]


def stopping(max_epochs=9, **keys):
    return EarlyStopping(RaySpec(**keys), StubTraining(epochs=9, select_on="val_loss"), max_epochs)


def search(rule, values, rows=()):
    """Go through nine trials side by side from where `rows` end; every row with the decision that followed."""
    rows = list(rows)
    ended = {trial for trial, _, ends in rows if ends}
    known = {(trial, row["epoch"]) for trial, row, _ in rows}
    for epoch, trial in itertools.product(range(1, 10), NAMES):
        if trial not in ended and (trial, epoch) not in known:
            row = {"epoch": epoch, "val_loss": values[NAMES.index(trial), epoch - 1]}
            rows.append((trial, row, rule.ends(trial, row)))
            if rows[-1][2]:
                ended.add(trial)
    return rows


RULES = {
    "asha": {"scheduler": "asha", "grace_epochs": 1},
    "plateau": {"scheduler": "fifo", "stopper": PlateauStopperSpec(std=0.2, num_results=3, grace_epochs=4)},
    "both": {"grace_epochs": 2, "stopper": PlateauStopperSpec(std=0.2, num_results=3, grace_epochs=4)},
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("after", [3, 11, 17, 30])
def test_a_resumed_search_decides_as_one_that_was_not_interrupted(name, after):
    values = np.random.default_rng(0).uniform(size=(9, 9)).cumsum(axis=1)
    whole = search(stopping(**RULES[name]), values)
    assert any(ends for _, _, ends in whole)
    resumed = stopping(**RULES[name])
    replayed = [(trial, row, resumed.ends(trial, row)) for trial, row, _ in whole[:after]]
    assert replayed == whole[:after]
    assert search(resumed, values, replayed) == whole


def test_a_search_that_forgets_decides_otherwise():
    """So that the test above tells something."""
    values = np.random.default_rng(0).uniform(size=(9, 9)).cumsum(axis=1)
    for rule in (RULES["asha"], RULES["plateau"]):
        whole = search(stopping(**rule), values)
        assert any(search(stopping(**rule), values, whole[:after]) != whole for after in range(len(whole)))


def test_asha_by_hand():
    """Rungs at 1, 3 and 9 epochs: a trial stops where it is worse than the best third of those that came before."""
    rule = stopping(grace_epochs=1)
    decisions = [
        rule.ends(trial, {"epoch": 1, "val_loss": loss}) for trial, loss in zip("abcd", [5, 6, 4, 4.4], strict=True)
    ]
    # thirds of the best: after 5: 5; after (5, 6): 5 + 1/3; after (5, 6, 4): 4.67
    assert decisions == [False, True, False, False]


def test_the_longest_trial_is_not_cut_at_the_epochs_of_the_run():
    rule = stopping(max_epochs=27, grace_epochs=1)
    assert not any(rule.ends("a", {"epoch": epoch, "val_loss": 1.0}) for epoch in range(1, 27))
    assert rule.ends("a", {"epoch": 27, "val_loss": 1.0})


def test_the_plateau_stopper_waits_for_its_grace():
    rule = stopping(scheduler="fifo", stopper=PlateauStopperSpec(std=0.1, num_results=2, grace_epochs=4))
    assert [rule.ends("a", {"epoch": n, "val_loss": 1.0}) for n in range(1, 5)] == [False, False, False, True]


def test_an_epoch_that_is_repeated_is_not_counted_again():
    rule = stopping(scheduler="fifo", stopper=PlateauStopperSpec(std=0.1, num_results=2, grace_epochs=4))
    epochs = [1, 2, 3, 2, 3, 3]
    assert not any(rule.ends("a", {"epoch": n, "val_loss": 1.0}) for n in epochs)
    assert rule.ends("a", {"epoch": 4, "val_loss": 1.0})


@pytest.mark.parametrize("row", [{}, {"epoch": 1}, {"epoch": "1", "val_loss": 1}, {"epoch": 1, "val_loss": "low"}])
def test_a_row_without_numbers_decides_nothing(row):
    assert stopping(grace_epochs=1, max_epochs=1).ends("a", row) is False


def test_fifo_stops_nobody():
    rule = stopping(scheduler="fifo")
    assert not any(rule.ends("a", {"epoch": n, "val_loss": float(n)}) for n in range(1, 20))
