"""Settings and facts of a run that somebody edited by hand: one clear message that names the file, or survived."""

import itertools
import json

import pytest

from tests.training import run_of, trained_run, write_trial
from utils.cli_utils import UserError
from utils.config_utils import set_key

# What any JSON file may hold in place of what was written.
BROKEN = {
    "empty": b"",
    "cut short": b'{"epoch": 1, "training"',
    "not UTF-8": b'{"epoch": 1, "task": "\xff\xfe"}',
    "UTF-16": '{"epoch": 1}'.encode("utf-16"),
    "a list": b"[1, 2]",
    "a number": b"3",
    "null": b"null",
    "deep": b'{"epoch": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "rather deep": b'{"training": ' + b'{"training": ' * 200 + b"1" + b"}" * 201,
    "a huge number": b'{"epoch": 1' + b"0" * 5000 + b"}",
    "a key twice": b'{"epoch": 1, "epoch": 2}',
    "zeros": bytes(100),
}


@pytest.fixture
def trained(prepared):
    write_trial(run_of(prepared, "training.epochs=1"))
    return prepared


def trial_of(folder):
    return folder / "runs" / "tiny" / "trial_00000"


def refusal(folder, *arguments):
    with pytest.raises(UserError) as error:
        trained_run(["--conf", str(folder / "conf.yaml"), *arguments])
    return str(error.value)


NAMED = ("--checkpoint", "checkpoint_000000", "--trial", "trial_00000")


def test_broken_settings(trained):
    path = trial_of(trained) / "params.json"
    for what, content in BROKEN.items():
        path.write_bytes(content)
        message = refusal(trained)
        assert message.startswith(f"{path}: "), what
        assert len(message) < 1000, what


def test_broken_facts(trained):
    path = trial_of(trained) / "checkpoint_000000" / "checkpoint.json"
    for what, content in BROKEN.items():
        path.write_bytes(content)
        message = refusal(trained, *NAMED)
        assert message.startswith(f"{path}: not the facts of a checkpoint ("), what
        assert len(message) < 1000, what


VALUES = [None, True, -1, 1.5, 10**19, "text", "x" * 10_000, [], [1], {}, {"name": "x"}, {"\x1b[31m": 1}]


def test_settings_of_another_kind(trained):
    path = trial_of(trained) / "params.json"
    written = path.read_text()
    keys = ("task", "data", "model", "model.audio_encoder", "training", "training.select_on", "optimizer.betas")
    for key, value in itertools.product(keys, VALUES):
        params = json.loads(written)
        set_key(params, key, value)
        path.write_text(json.dumps(params))
        message = refusal(trained)
        assert message.startswith(f"{path}: "), (key, value)
        assert "\x1b" not in message
        assert len(message) < 4000, (key, value)


def test_a_section_that_is_missing(trained):
    path = trial_of(trained) / "params.json"
    written = json.loads(path.read_text())
    for key in ("task", "data", "model", "criterion", "optimizer", "lr_scheduler", "training"):
        path.write_text(json.dumps({name: section for name, section in written.items() if name != key}))
        assert key in refusal(trained)


FACTS = [
    *(("epoch", value) for value in VALUES if value != 10**19),
    *(("metrics", value) for value in ([], [1], "text", None, {"mAP@10": "0.5"}, {"mAP@10": True})),
    *(("blake2b", value) for value in (None, 3, [])),
    *(("selection", value) for value in ([], 3, {"metric": 3, "mode": "max"}, {"metric": "R@1", "mode": "best"})),
    ("selection", {"metric": "R@1", "mode": ["max"]}),
]


def test_facts_of_another_kind(trained):
    path = trial_of(trained) / "checkpoint_000000" / "checkpoint.json"
    written = json.loads(path.read_text())
    for key, value in FACTS:
        path.write_text(json.dumps(written | {key: value}))
        assert refusal(trained, *NAMED).startswith(f"{path}: not the facts of a checkpoint ("), (key, value)


def test_a_checkpoint_with_broken_facts_is_passed_over(prepared, capsys):
    trial = write_trial(run_of(prepared, "training.epochs=2"))
    (trial / "checkpoint_000000" / "checkpoint.json").write_bytes(BROKEN["deep"])
    found = trained_run(["--conf", str(prepared / "conf.yaml")])
    assert found.trial.checkpoint.epoch == 2
    assert "skipped: " in capsys.readouterr().out
