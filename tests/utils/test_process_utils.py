"""Workers keep the order, stop when they fail, and end with their parent."""

import contextlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from utils.cli_utils import UserError
from utils.process_utils import ordered_map, worker_pool


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


def square(number):
    return number**2


def test_workers_work():
    with worker_pool(2) as pool:
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]


def kill_itself(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_a_user_error():
    with pytest.raises(UserError, match=r"a worker process was killed, .*fewer --workers"), worker_pool(1) as pool:
        list(pool.map(kill_itself, range(3)))


def fail(number):
    raise ValueError(number)


def wait_for(path):
    while not path.exists():
        time.sleep(0.01)


def test_what_waits_is_not_started_after_a_failure(tmp_path):
    go = tmp_path / "go"
    with pytest.raises(ValueError, match="7"), worker_pool(1) as pool:  # noqa: PT012 - the pool ends with its block
        failing = pool.submit(fail, 7)
        waiting = [pool.submit(wait_for, go) for _ in range(100)]
        waiting[-1].add_done_callback(lambda _: go.touch())  # once it is cancelled, the one that runs may end
        failing.result()
    assert sum(future.cancelled() for future in waiting) > 90


def is_alive(pid):
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_workers_end_with_a_parent_that_is_killed():
    context = multiprocessing.get_context("fork")
    pids = context.SimpleQueue()

    def parent():
        with worker_pool(2) as pool:
            for pid in pool.map(pid_of, range(4)):
                pids.put(pid)
            pids.put(None)
            time.sleep(60)

    process = context.Process(target=parent)
    process.start()
    workers = set(iter(pids.get, None))
    assert any(is_alive(pid) for pid in workers)
    process.kill()
    process.join()
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_alive(pid) for pid in workers)


def pid_of(number):
    time.sleep(0.1)
    return os.getpid()
