import os
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
from ray import cloudpickle

from tests.utils.tune_utils.searches import search_for
from utils.cli_utils import UserError
from utils.model_utils.trials import TrialEnd, write_end
from utils.tune_utils.draws import trials_of
from utils.tune_utils.folder import write_record
from utils.tune_utils.interrupts import SIGNALS, interrupts
from utils.tune_utils.launch import launch
from utils.tune_utils.trial import exit_quietly


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_interrupts_once_and_later_ones_wait_for_the_end(number):
    outside = signal.signal(number, signal.SIG_DFL)  # under nohup the tests themselves inherit that SIGHUP is ignored
    before = signal.getsignal(number)
    with interrupts() as signals:
        assert not signals.seen
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert signals.seen
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    signal.signal(number, outside)


def test_a_handler_that_a_library_put_in_place_gives_way(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with interrupts() as signals:
        signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the library's handler"))
        signals.install()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_they_are_pickled_without_the_handlers_that_were_there():
    """Ray Tune pickles the callback that holds them, and a handler may hold a lock, as that of Ray's Cluster does."""
    before, lock = signal.getsignal(signal.SIGTERM), threading.Lock()
    try:
        signal.signal(signal.SIGTERM, lambda *_: lock.release())
        with interrupts() as signals:
            copy = cloudpickle.loads(cloudpickle.dumps(signals))
        assert not copy.seen
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_closed_terminal_is_no_matter_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not signals.seen
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, None])
def test_a_search_that_was_ended_is_not_finished(error, tmp_path, monkeypatch, capsys):
    """By a signal; by Ray's own handler while it starts; by Ray Tune, which returns as if all were done."""
    search = search_for(tmp_path / "x", {"optimizer.lr": {"grid": [1, 2]}})
    write_record(search, finished=False)
    trials_of(search)
    write_end(search.folder / "trial_00000", TrialEnd("finished", 2))

    def train(*_):
        if error is not None:
            raise error
        return {}

    monkeypatch.setattr(sys.modules["utils.tune_utils.launch"], "_train", train)
    assert not launch(search, None, resume=True, fresh=False)
    with pytest.raises(UserError, match="holds an unfinished experiment"):
        launch(search, None, resume=False, fresh=False)


def test_the_end_of_a_process_prints_no_traceback(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    exit_quietly()
    for error in (SystemExit, ValueError):
        sys.unraisablehook(SimpleNamespace(exc_type=error))
    assert [seen.exc_type for seen in shown] == [ValueError]
