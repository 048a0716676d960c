import errno
import hashlib
import json
import multiprocessing
import os
import random
import resource
import signal

import numpy as np
import pytest
import torch

from tests.training import fit_of, keep_checkpoints, run_of
from utils.cli_utils import ArtefactError
from utils.config_utils import to_mapping
from utils.model_utils import read_checkpoint, read_facts, seed_everything, write_checkpoint
from utils.model_utils.checkpoints import newest_whole_checkpoint
from utils.model_utils.random_states import random_state, restore_random_state

STATE = {"epoch": 3, "model": {"w": torch.arange(6.0).reshape(2, 3)}}


def test_what_was_written_is_read(tmp_path):
    write_checkpoint(tmp_path / "c", STATE, {"mAP@10": 0.25})
    state = read_checkpoint(tmp_path / "c")
    assert torch.equal(state["model"]["w"], STATE["model"]["w"])
    assert state["epoch"] == 3
    facts = read_facts(tmp_path / "c")
    assert (facts.folder, facts.epoch, facts.metrics) == (tmp_path / "c", 3, {"mAP@10": 0.25})
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["checkpoint.json", "checkpoint.pt"]


def test_checkpoint_of_a_run_holds_all_that_the_next_epoch_needs(prepared, tmp_path):
    run = run_of(prepared, "training.epochs=1")
    fit_of(run).run(keep_checkpoints(tmp_path), to_mapping(run))
    path = tmp_path / "checkpoint_000000" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    assert set(state) == {
        "format_version",
        "model",
        "frozen",
        "optimizer",
        "scheduler",
        "scaler",
        "epoch",
        "random",
        "best",
        "best_epoch",
        "stop",
        "config",
    }
    assert state["config"] == to_mapping(run)
    assert set(state["random"]) == {"torch", "cuda", "numpy", "python"}
    assert (state["epoch"], state["best_epoch"]) == (1, 1)
    assert state["best"] == read_facts(path.parent).metrics["mAP@10"]
    assert len(state["optimizer"]["state"]) == sum(1 for _ in fit_of(run).model.parameters())


def drawn():
    return [random.random(), np.random.rand(), np.random.standard_normal(), torch.rand(2).tolist()]  # noqa: NPY002


def test_random_generators_go_on_where_they_were(tmp_path):
    np.random.standard_normal()  # noqa: NPY002 - leaves a second Gaussian waiting
    state = random_state()
    first = drawn()
    assert drawn() != first
    restore_random_state(state, tmp_path)
    assert drawn() == first


def test_seeds_of_any_size_reach_every_generator():
    seed_everything(2**40 + 5)
    first = drawn()
    seed_everything(2**40 + 5)
    assert drawn() == first
    seed_everything(2**40 + 6)
    assert all(a != b for a, b in zip(first, drawn(), strict=True))


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def vouch_for(folder):
    """Facts with the right digest, as an attacker would write them."""
    digest = hashlib.blake2b((folder / "checkpoint.pt").read_bytes()).hexdigest()
    (folder / "checkpoint.json").write_text(json.dumps({"epoch": 1, "metrics": {}, "blake2b": digest}))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    torch.save({"epoch": 1, "model": Hostile(tmp_path / "marker")}, tmp_path / "checkpoint.pt")
    vouch_for(tmp_path)
    with pytest.raises(
        ArtefactError,
        match=r"checkpoint\.pt: refused: it names (os|posix)\.mkdir; expected only tensors and plain values; use",
    ):
        read_checkpoint(tmp_path)
    assert not (tmp_path / "marker").exists()
    torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert (tmp_path / "marker").exists()  # it would have run


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; use another"),
        (b"text", "not a complete checkpoint"),
        (b"PK\x03\x04" + bytes(100), "not a complete checkpoint"),
        (b"<!DOCTYPE html>", "use another checkpoint"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    vouch_for(tmp_path)
    with pytest.raises(ArtefactError, match=message):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(("state", "version"), [({"format_version": 7, "epoch": 1}, "7"), ([1, 2], "None")])
def test_another_version_is_refused(state, version, tmp_path):
    torch.save(state, tmp_path / "checkpoint.pt")
    vouch_for(tmp_path)
    with pytest.raises(ArtefactError, match=rf"checkpoint\.pt: format version {version}, this program reads 1"):
        read_checkpoint(tmp_path)


def test_truncated_and_missing_states_are_told(tmp_path):
    write_checkpoint(tmp_path, STATE, {})
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match=r"checkpoint\.pt: truncated or changed \(\d+ bytes.*use another"):
        read_checkpoint(tmp_path)
    path.unlink()
    with pytest.raises(ArtefactError, match=r"checkpoint\.pt: no such file; use another"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "facts", ["", "[]", "{}", '{"epoch": "x", "metrics": {}, "blake2b": ""}', '{"epoch": 1, "metrics": 3}']
)
def test_broken_facts_are_told(facts, tmp_path):
    (tmp_path / "checkpoint.json").write_text(facts)
    with pytest.raises(ArtefactError, match=r"checkpoint\.json: not the facts of a checkpoint"):
        read_facts(tmp_path)


def test_missing_facts_mean_an_unfinished_checkpoint(tmp_path):
    with pytest.raises(ArtefactError, match=r"checkpoint\.json: no such file; the checkpoint was not finished"):
        read_facts(tmp_path)


def killed_while_saving(folder):
    def half(state, stream):
        del state
        stream.write(b"half")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    write_checkpoint(folder, STATE, {})


def test_killed_writer_leaves_the_checkpoint_as_it_was(tmp_path):
    write_checkpoint(tmp_path, STATE | {"epoch": 1}, {})
    process = multiprocessing.get_context("fork").Process(target=killed_while_saving, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert read_checkpoint(tmp_path)["epoch"] == 1


def test_killed_writer_leaves_no_half_checkpoint(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=killed_while_saving, args=(tmp_path / "c",))
    process.start()
    process.join(60)
    assert not (tmp_path / "c" / "checkpoint.pt").exists()
    assert not (tmp_path / "c" / "checkpoint.json").exists()


def test_a_disk_that_takes_no_more_leaves_no_half_checkpoint_and_says_so(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(OSError) as error:  # noqa: PT011 - by its number
            write_checkpoint(tmp_path, STATE | {"large": torch.zeros(2**16)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert error.value.errno == errno.EFBIG
    assert str(error.value.filename).startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_newest_whole_checkpoint_is_taken(tmp_path):
    folders = [tmp_path / str(n) for n in range(3)]
    for number, folder in enumerate(folders):
        write_checkpoint(folder, STATE | {"epoch": number}, {})
    newest, troubles = newest_whole_checkpoint(folders)
    assert (newest.folder, newest.state["epoch"], troubles) == (folders[2], 2, [])
    (folders[2] / "checkpoint.json").unlink()
    (folders[1] / "checkpoint.pt").write_bytes(b"x")
    newest, troubles = newest_whole_checkpoint(folders)
    assert newest.state["epoch"] == 0
    assert [str(folders[2]) in troubles[0], str(folders[1]) in troubles[1]] == [True, True]
    assert newest_whole_checkpoint([]) == (None, [])
