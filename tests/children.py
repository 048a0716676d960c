"""Run something in a process of its own, to kill it or to limit it."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess


def in_child(action: Callable[[], object]) -> BaseProcess:
    """Start `action` in a fork of this process."""
    child = multiprocessing.get_context("fork").Process(target=action)
    child.start()
    return child
