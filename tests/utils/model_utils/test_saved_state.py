"""Checkpoints whose digest is right and whose content is not: one line on resume, never a traceback."""

import hashlib
import io
import json

import pytest
import torch

from tests.training import fit_of, keep_checkpoints, run_of
from utils.cli_utils import ArtefactError
from utils.config_utils import to_mapping
from utils.model_utils.random_states import random_state, restore_random_state

SETTINGS = {
    "adam": ("optimizer={name: Adam}", "lr_scheduler={name: ReduceLROnPlateau}"),
    "adamw": ("optimizer={name: AdamW}", "lr_scheduler={name: WarmupCosine}"),
    "sgd": ("optimizer={name: SGD}", "lr_scheduler={name: none}"),
}
REMOVED = object()


@pytest.fixture
def edited(prepared, tmp_path):
    """A function: settings -> a function: a change of the state of their checkpoint -> what resume says of it."""

    def train(kind):
        run = run_of(prepared, "training.epochs=1", *SETTINGS[kind])
        fit_of(run).run(keep_checkpoints(tmp_path / "trial"), to_mapping(run))
        folder = tmp_path / "trial" / "checkpoint_000000"
        written = (folder / "checkpoint.pt").read_bytes()
        again = fit_of(run)
        before = {name: tensor.clone() for name, tensor in again.model.state_dict().items()}

        def resume(change):
            state = torch.load(io.BytesIO(written), weights_only=True)
            change(state)
            write(folder, state)
            with pytest.raises(ArtefactError) as error:
                again.restore([folder])
            assert "\n" not in str(error.value)
            assert str(error.value).startswith(f"{folder / 'checkpoint.pt'}: ")
            assert all(torch.equal(tensor, before[name]) for name, tensor in again.model.state_dict().items())
            return str(error.value)

        return resume

    return train


def write(folder, state):
    """The state, and facts that vouch for it."""
    torch.save(state, folder / "checkpoint.pt")
    facts = json.loads((folder / "checkpoint.json").read_text())
    facts["blake2b"] = hashlib.blake2b((folder / "checkpoint.pt").read_bytes()).hexdigest()
    (folder / "checkpoint.json").write_text(json.dumps(facts))


def put(path, value):
    """A change of a state: another value at a path, or none."""

    def change(state):
        *sections, last = path
        for name in sections:
            state = state[name]
        if value is REMOVED:
            del state[last]
        else:
            state[last] = value

    return change


CASES = [
    *(
        ("sgd", [name], REMOVED, message)
        for name, message in {
            "model": "has no weights by name in 'model'",
            "optimizer": "optimizer: not the state of an optimizer",
            "scheduler": "has no scheduler",
            "scaler": "has no scaler",
            "epoch": "has no epoch",
            "random": "its random states are not those",
        }.items()
    ),
    ("sgd", ["model"], [1], "has no weights by name in 'model'"),
    ("sgd", ["model", "more"], torch.ones(1), "1 unexpected: more"),
    ("sgd", ["epoch"], "1", "epoch is '1'"),
    ("sgd", ["epoch"], True, "epoch is True"),
    ("sgd", ["epoch"], -3, "epoch is -3"),
    ("sgd", ["best"], [0.5], "best is list of 1"),
    ("sgd", ["stop", "epoch"], None, "stop.epoch is None"),
    ("sgd", ["scaler"], {"scale": 1.0}, "scaler holds scale, expected nothing"),
    ("sgd", ["optimizer"], [], "optimizer: not the state of an optimizer"),
    ("sgd", ["optimizer", "param_groups"], {}, "optimizer: not the state of an optimizer"),
    ("sgd", ["optimizer", "param_groups", 0, "params"], 3, "optimizer: found parameter groups of 0 tensors"),
    (
        "sgd",
        ["optimizer", "param_groups", 0, "params", 0],
        10**6,
        "optimizer: its groups number the parameters otherwise",
    ),
    ("sgd", ["optimizer", "param_groups", 0, "lr"], "fast", "param_groups.0.lr is 'fast'"),
    ("sgd", ["optimizer", "param_groups", 0, "step"], 3, "param_groups.0 holds "),
    ("sgd", ["optimizer", "state", 0, "momentum_buffer"], torch.ones(3), "momentum_buffer of parameter 0 is float32"),
    ("sgd", ["optimizer", "state", 0, "momentum_buffer"], 3, "momentum_buffer of parameter 0 is 3, expected"),
    ("sgd", ["optimizer", "state", 0], {"exp_avg": torch.ones(1)}, "parameter 0 has no momentum_buffer"),
    ("sgd", ["optimizer", "state", 999], {}, "moments of other parameters than the"),
    ("sgd", ["optimizer", "state"], [1], "moments of other parameters than the"),
    ("adam", ["optimizer", "state", 0, "exp_avg"], REMOVED, "parameter 0 has no exp_avg"),
    ("adam", ["optimizer", "state", 0, "step"], torch.ones(2), "step of parameter 0 is float32 of shape (2,)"),
    ("adam", ["scheduler"], {}, "scheduler holds nothing, expected"),
    ("adam", ["scheduler", "step"], 3, "scheduler holds "),  # it would take the place of a method
    ("adam", ["scheduler", "min_lrs"], 3, "scheduler.min_lrs is 3"),
    ("adam", ["scheduler", "patience"], "5", "scheduler.patience is '5'"),
    ("adamw", ["scheduler", "base_lrs"], [], "scheduler.base_lrs is list of 0, expected 2 entries"),
    ("adamw", ["optimizer", "state", 0, "exp_avg_sq"], torch.ones(1, dtype=torch.int64), "exp_avg_sq of parameter 0"),
    ("adamw", ["random", "torch"], torch.ones(3), "its random states are not those"),
    ("adamw", ["random", "numpy"], ["MT19937", torch.ones(3), 0, 0, 0.0], "its random states are not those"),
    ("adamw", ["random", "python", 1], ["x"], "its random states are not those"),
    ("adamw", ["random"], 3, "its random states are not those"),
    ("adamw", ["random", "cuda"], 3, "its random states are not those"),
]


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_state_of_another_make_is_refused(kind, edited):
    resume = edited(kind)
    for path, value, message in (case[1:] for case in CASES if case[0] == kind):
        assert message in resume(put(path, value)), path


def test_weights_of_another_type_are_refused(edited):
    def to_complex(state):
        name = next(name for name, tensor in state["model"].items() if tensor.ndim == 2)
        state["model"][name] = state["model"][name].to(torch.complex64)

    assert "is torch.complex64, expected torch.float32" in edited("sgd")(to_complex)


def test_random_states_of_other_gpus_are_told(monkeypatch, tmp_path, capsys):
    state = random_state()
    for states, count, told in (
        ([], 0, False),
        ([torch.ones(3)], 0, True),
        ([torch.ones(3)] * 2, 1, True),
        ([], 1, True),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda count=count: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        restore_random_state(state | {"cuda": states}, tmp_path)
        said = f"the checkpoint holds the random states of {len(states)} GPUs, here are {count}: theirs start from"
        assert (said in capsys.readouterr().out) is told
