"""Calibration: by hand, against torchmetrics and torch, and where there is nothing to fit."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from utils.metric_utils.classification.calibration import (
    COLDEST,
    HOTTEST,
    bin_of,
    error_if_calibrated,
    fit_temperature,
    reliability,
    with_temperature,
)
from utils.metric_utils.classification.windows import log_probabilities


def drawn(seed, recordings, classes, temperature):
    """Logits, and classes that are drawn from their distribution at a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (recordings, classes))
    cumulative = np.exp(with_temperature(logits, temperature)).cumsum(axis=1)
    return logits, (rng.random((recordings, 1)) > cumulative[:, :-1]).sum(axis=1)


def test_a_table_by_hand():
    table = reliability(np.array([0.3, 0.5, 0.9, 0.7]), np.array([False, True, True, True]), bins=2)
    assert table.low.tolist() == [0, 0.5]
    assert table.high.tolist() == [0.5, 1]
    assert table.recordings.tolist() == [2, 2]
    np.testing.assert_allclose(table.confidence, [0.4, 0.8])
    np.testing.assert_allclose(table.accuracy, [0.5, 1])
    assert table.error == pytest.approx((0.1 + 0.2) / 2)


def test_empty_bins_have_no_values_and_limits_belong_to_the_lower_bin():
    assert bin_of(np.array([0.0, 0.25, 0.26, 1.0]), 4).tolist() == [0, 0, 1, 3]
    table = reliability(np.array([0.1, 1.0]), np.array([True, True]), bins=4)
    assert table.recordings.tolist() == [1, 0, 0, 1]
    assert np.isnan(table.accuracy[1:3]).all()
    assert table.error == pytest.approx(0.45)


@pytest.mark.parametrize("seed", range(10))
def test_agreement_with_torchmetrics(seed):
    logits, targets = drawn(seed, 100, 5, 2.0)
    probabilities = np.exp(log_probabilities(logits))
    table = reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)
    expected = multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(targets), 5, n_bins=15)
    assert table.error == pytest.approx(float(expected), abs=1e-6)


def test_the_error_of_a_calibrated_system_is_that_of_chance():
    # one bin: the mean distance of the share of n heads from 1/2
    assert error_if_calibrated(np.full(2, 0.5), draws=4000) == pytest.approx(0.25, abs=0.02)
    assert error_if_calibrated(np.ones(5)) == 0
    logits, targets = drawn(0, 300, 5, 1.0)
    confidence = np.exp(log_probabilities(logits)).max(axis=1)
    found = error_if_calibrated(confidence)
    errors = []
    for seed in range(40):
        logits, targets = drawn(seed, 300, 5, 1.0)
        probabilities = np.exp(log_probabilities(logits))
        errors.append(reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets).error)
    assert found == pytest.approx(np.mean(errors), rel=0.15)
    overconfident = reliability(confidence**0.3, probabilities.argmax(axis=1) == targets).error
    assert overconfident > 2 * error_if_calibrated(confidence**0.3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_data_is_found_again(temperature):
    logits, targets = drawn(0, 20_000, 4, temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.04)


def test_agreement_with_a_search_of_torch():
    logits, targets = drawn(1, 60, 5, 2.0)
    smoothing = 1 / 61  # one recording of an unknown class beside 60
    inverse = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([inverse], max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = torch.nn.functional.cross_entropy(
            torch.tensor(logits) * inverse, torch.tensor(targets), label_smoothing=smoothing
        )
        value.backward()
        return value

    search.step(loss)
    assert fit_temperature(logits, targets) == pytest.approx(1 / inverse.item(), rel=1e-4)


def test_where_all_are_right_the_confidence_grows_with_their_number():
    """It stays below certainty: the loss without the added recording would be smallest at temperature 0."""
    found = []
    for recordings in (10, 100, 1000):
        logits = np.tile([1.0, 0.0, 0.0], (recordings, 1))
        temperature = fit_temperature(logits, np.zeros(recordings, int))
        found.append(np.exp(with_temperature(logits, temperature))[0, 0])
    # the share of the added recording that the class does not have is 2/3
    np.testing.assert_allclose(found, [1 - 2 / 3 / (n + 1) for n in (10, 100, 1000)], rtol=1e-5)


def test_useless_logits_become_uniform_and_absent_classes_do_no_harm():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 50)  # of four classes
    wrong = -10 * np.eye(4)[targets]
    assert fit_temperature(wrong, targets) == pytest.approx(HOTTEST, rel=1e-3)
    assert COLDEST < fit_temperature(rng.normal(size=(50, 4)) + 3 * np.eye(4)[targets], targets) < HOTTEST
    assert np.isfinite(fit_temperature(np.zeros((3, 4)), np.array([0, 1, 1])))


def test_a_temperature_leaves_the_order_of_classes():
    logits = np.random.default_rng(0).normal(size=(20, 6))
    scaled = with_temperature(logits, 2.5)
    assert (scaled.argsort(axis=1) == logits.argsort(axis=1)).all()
    np.testing.assert_allclose(with_temperature(logits, 1.0), log_probabilities(logits))
    with pytest.raises(ValueError, match=r"^temperature is 0; expected above 0$"):
        with_temperature(logits, 0)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.zeros((2, 3)), [0], r"^log_probs are \(2, 3\), targets are \(1,\); expected \(N, K\) and \(N,\)$"),
        (np.zeros((0, 3)), [], r"^log_probs are \(0, 3\)"),
        (np.zeros((2, 3)), [0, 3], "^targets are 0 to 3; expected 0 to 2$"),
        (np.array([[0.0, 0], [-np.inf, 0]]), [0, 1], "^the log-probabilities of recording 1 are .*; expected finite"),
    ],
)
def test_bad_outputs_are_refused(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, np.array(targets, int))
