import pytest
from pydantic import TypeAdapter, ValidationError

from utils.tune_utils import Distribution, RaySpec


def distribution(**keys):
    return TypeAdapter(Distribution).validate_python(keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "needs one distribution, found 0; choices: grid, choice, uniform, loguniform, randint"),
        ({"grid": [1], "choice": [2]}, "needs one distribution, found 2"),
        ({"uniform": [2, 1]}, "uniform needs low < high"),
        ({"randint": [3, 3]}, "randint needs low < high"),
        ({"loguniform": [0, 1]}, "loguniform needs low > 0"),
        ({"uniform": [1, 2, 3]}, "at most 2 items"),
        ({"quniform": [1, 2]}, "Field required"),
        ({"quniform": [0, 1, 0]}, r"quniform needs \[low, high, step\], with low and high multiples of step > 0"),
        ({"quniform": [0, 1, 0.3]}, r"quniform needs \[low, high, step\]"),
        ({"qrandint": [1, 9, 4]}, r"qrandint needs \[low, high, step\]"),
        ({"qloguniform": [0.1, 1, -0.1]}, r"qloguniform needs \[low, high, step\]"),
        ({"grid": []}, "at least 1 item"),
        ({"normal": [0, 1]}, "Extra inputs"),
    ],
)
def test_bad_distributions_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        distribution(**keys)


@pytest.mark.parametrize(
    ("keys", "extremes"),
    [
        ({"grid": [3, "x", None]}, [3, "x", None]),
        ({"choice": [[1], {"a": 1}]}, [[1], {"a": 1}]),
        ({"randint": [2, 9]}, [2, 8]),
        ({"qrandint": [2, 8, 2]}, [2, 8, 4]),
        ({"qrandint": [2, 8, 1]}, [2, 7]),
        ({"quniform": [0.5, 1.5, 0.25]}, [0.5, 1.5, 0.75]),
    ],
)
def test_extremes(keys, extremes):
    assert distribution(**keys).extremes() == extremes


@pytest.mark.parametrize("name", ["uniform", "loguniform"])
def test_extremes_of_a_range_hold_a_number_with_a_fraction(name):
    low, high, between = distribution(**{name: [1, 9]}).extremes()
    assert (low, high) == (1, 9)
    assert low < between < high
    assert between != round(between)


@pytest.mark.parametrize(
    "keys", [{"num_samples": 0}, {"scheduler": "pbt"}, {"keep_checkpoints": 0}, {"cpus": 1}, {"gpus_per_trial": 1.5}]
)
def test_ray_settings_out_of_range_are_refused(keys):
    with pytest.raises(ValidationError):
        TypeAdapter(RaySpec).validate_python(keys)
