from __future__ import annotations

import os
import time

import pytest

from utils.cli_utils import UserError
from utils.process_utils import ordered_map


def slow_square(number):
    time.sleep(0.02 if number % 3 == 0 else 0)
    return number * number, os.getpid()


def die(number):
    os._exit(9)


def test_results_come_in_order_from_several_processes():
    results = list(ordered_map(slow_square, range(20), workers=2))
    assert [square for square, _ in results] == [number**2 for number in range(20)]
    assert os.getpid() not in {pid for _, pid in results}


def test_one_worker_is_this_process_and_works_on_demand():
    asked = []
    results = ordered_map(slow_square, (asked.append(number) or number for number in range(9)), workers=1)
    assert next(results) == (0, os.getpid())
    assert asked == [0]


def test_few_tasks_are_in_flight():
    asked = []
    results = ordered_map(slow_square, (asked.append(number) or number for number in range(1000)), workers=2)
    next(results)
    assert len(asked) < 20
    results.close()


def test_a_killed_worker_ends_in_one_line():
    with pytest.raises(UserError, match=r"a worker process was killed.*fewer --workers"):
        list(ordered_map(die, range(3), workers=2))
