"""Windows of recordings: the mean of probabilities, whatever the order and the size of the logits."""

import numpy as np
import pytest

from utils.metric_utils.classification.windows import average_windows, log_probabilities


def test_the_mean_of_probabilities_by_hand():
    logits = np.log([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    found = np.exp(average_windows(logits, np.array([1, 0, 1]), 2))
    np.testing.assert_allclose(found, [[0.2, 0.8], [0.7, 0.3]], rtol=1e-12)


def test_one_window_that_is_sure_does_not_outvote_the_others():
    # the product of these distributions prefers the second class by far
    logits = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 50.0]])
    assert log_probabilities(logits).sum(axis=0).argmax() == 1
    assert average_windows(logits, np.zeros(4, int), 1).argmax() == 0


def test_the_order_of_windows_does_not_matter_and_extreme_logits_stay_finite():
    rng = np.random.default_rng(0)
    logits, recording = rng.normal(0, 400, (60, 5)), np.arange(60) % 7
    order = rng.permutation(60)
    found = average_windows(logits, recording, 7)
    np.testing.assert_allclose(average_windows(logits[order], recording[order], 7), found, rtol=1e-12)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-12)
    for n in range(7):
        expected = np.exp(log_probabilities(logits[recording == n])).mean(axis=0)
        np.testing.assert_allclose(np.exp(found[n]), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("logits", "recording", "message"),
    [
        (np.zeros((2, 3)), [0], r"^logits are \(2, 3\), recording is \(1,\); expected \(W, K\) and \(W,\)$"),
        (
            np.array([[0, 1], [0, np.nan]]),
            [0, 1],
            r"^the logits of window 1 are \[ ?0. nan\]; expected finite",
        ),
        (np.zeros((2, 3)), [0, 2], "^recording is 0 to 2; expected 0 to 1$"),
        (np.zeros((2, 3)), [0, 0], "^recording 1 has no windows$"),
    ],
)
def test_bad_windows_are_refused(logits, recording, message):
    with pytest.raises(ValueError, match=message):
        average_windows(logits, np.array(recording), 2)
