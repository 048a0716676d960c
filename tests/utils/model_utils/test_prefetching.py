import itertools
import threading

import pytest
import torch

from utils.model_utils.prefetching import ahead, on_device


def test_a_thread_makes_items_before_they_are_wanted():
    made, third = [], threading.Event()

    def items():
        for number in range(5):
            made.append((number, threading.current_thread()))
            if number == 2:
                third.set()
            yield number

    found = ahead(items(), 2)
    assert next(found) == 0
    assert next(found) == 1  # while it is computed, the next two are made
    assert third.wait(60)
    assert list(found) == [2, 3, 4]
    threads = {thread for _, thread in made}
    assert len(threads) == 1
    assert threading.current_thread() not in threads
    assert not threads.pop().is_alive()


def test_an_error_arrives_after_the_items_before_it():
    def items():
        yield from "ab"
        raise ValueError("the third is broken")

    found = ahead(items())
    assert list(itertools.islice(found, 2)) == ["a", "b"]
    with pytest.raises(ValueError, match="the third is broken"):
        next(found)


def test_whoever_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    found = ahead(itertools.count())
    assert next(found) == 0
    found.close()
    assert threading.active_count() == before


def test_a_cpu_loads_each_batch_when_it_is_wanted():
    loaded = []

    def batches():
        for number in range(3):
            loaded.append(number)
            yield {"x": torch.tensor(number)}

    found = on_device(batches(), torch.device("cpu"))
    next(found)
    assert loaded == [0]
