"""What ends a trial of several ranks, and how its rows reach the search; no rank is started."""

import asyncio
import json

import pytest
import torch
from ray.exceptions import ActorUnavailableError, RayTaskError
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

from tests.training import StubTask, StubTraining, stub_fit
from utils.cli_utils import ArtefactError, UserError
from utils.model_utils import DivergedError, Selection
from utils.tune_utils import RaySpec
from utils.tune_utils.rank import KeepCheckpoints, TrialStart
from utils.tune_utils.ranks_of_trial import LostRankError, Rows, cause_of
from utils.tune_utils.trial import FAILED, train_trial

LOST = ActorUnavailableError("killed", None)
GLOO = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer")
BROKEN = ArtefactError("clips.csv: broken")


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ({0: GLOO, 1: LOST}, LostRankError),
        ({0: GLOO}, LostRankError),  # that the other one is dead is not known yet
        ({0: torch.distributed.DistBackendError("NCCL error: remote process exited")}, LostRankError),
        ({0: GLOO, 1: BROKEN}, ArtefactError),  # the others fail because this one has ended
        ({0: BROKEN, 1: DivergedError("epoch 2: nan")}, DivergedError),
        ({1: ZeroDivisionError("a mistake")}, WorkerGroupError),
    ],
)
def test_of_what_all_ranks_raise_the_first_cause_counts(failures, expected):
    assert type(cause_of(WorkerGroupError("all of them", failures))) is expected


def test_a_lost_rank_is_named():
    error = cause_of(WorkerGroupError("", {0: GLOO, 3: LOST}))
    assert str(error) == "rank 3: killed, such as for lack of memory, or its machine is gone"
    error = cause_of(WorkerGroupError("", {0: GLOO, 2: GLOO}))
    assert str(error).startswith("rank 0, 2: the connection to another rank broke: [/pytorch")


def test_ranks_that_cannot_connect_are_told_in_one_line():
    refused = RayTaskError("_setup_torch_process_group", "Traceback\n  of many\nlines", ConnectionError("timed out"))
    error = cause_of(ControllerError(refused))
    assert type(error) is UserError
    assert str(error).startswith("the ranks of a trial cannot be started or connected: timed out; look at the network")
    assert "NCCL_SOCKET_IFNAME" in str(error)
    assert "\n" not in str(error)


def test_ranks_that_there_is_no_room_for_are_told_in_one_line():
    error = cause_of(ControllerError(WorkerGroupStartupTimeoutError(4)))
    assert type(error) is UserError
    assert str(error).startswith("for 10 minutes there was no room for the 4 ranks of a trial: a machine is gone")


def test_a_rank_goes_on_when_the_search_asks_for_the_next_row():
    async def exchange():
        rows = Rows()
        given = asyncio.create_task(rows.give({"epoch": 1.0}))
        assert await rows.take() == {"epoch": 1.0}
        await asyncio.sleep(0)
        assert not given.done()  # the search looks at the row
        following = asyncio.create_task(rows.take())
        await given
        following.cancel()

    asyncio.run(exchange())


@pytest.fixture
def start_of(tmp_path, monkeypatch):
    (tmp_path / "trial_00000").mkdir()
    (tmp_path / "experiment.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield lambda fit_of: TrialStart(fit_of, RaySpec(), tmp_path, tmp_path)
    torch.set_num_threads(threads)


CONFIG = {"trial": {"name": "trial_00000", "settings": json.dumps({"training": {"device": "cpu"}})}}


def test_an_error_that_would_come_again_is_returned(start_of):
    def fit_of(settings):
        raise BROKEN

    found = train_trial(CONFIG, start_of(fit_of))
    assert found.keys() == {FAILED}
    assert found[FAILED].splitlines()[-1] == "utils.cli_utils.errors.ArtefactError: clips.csv: broken"


def test_the_row_of_a_checkpoint_that_had_not_arrived_is_sent_again(start_of, tmp_path, monkeypatch):
    """The process was killed between its checkpoint and its report, and starts again in the same search."""
    from ray import tune

    fit = stub_fit(StubTask([0.5]), StubTraining(epochs=2))
    keep = KeepCheckpoints(tmp_path / "trial_00000", 2, Selection("mAP@10", "max"))

    def killed_before_the_report(metrics, save):
        keep(1, save)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.run(killed_before_the_report, {})
    seen = []
    monkeypatch.setattr(tune, "report", lambda row: seen.append(row["metrics"]))
    start = start_of(lambda settings: stub_fit(StubTask([0.6]), StubTraining(epochs=2)))
    assert train_trial(CONFIG, start) is None
    assert [(row["epoch"], row["mAP@10"]) for row in seen] == [(1, 0.5), (2, 0.6)]
