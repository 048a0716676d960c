"""Bytes of a checkpoint changed at random, with a digest that fits them: resume goes on, or refuses in one line."""

import contextlib
import hashlib
import io
import json
import random
import zipfile

from tests.training import StubTask, StubTraining, keep_checkpoints, stub_fit
from utils.cli_utils import UserError
from utils.model_utils.optimisation import AdamWSpec, ReduceLROnPlateauSpec

MUTATIONS = 300


def fit_of_a_stub():
    schedule = ReduceLROnPlateauSpec(name="ReduceLROnPlateau")
    return stub_fit(StubTask([0.1] * 9), StubTraining(epochs=1), AdamWSpec(name="AdamW"), schedule)


def changed(content, rng):
    """A few bytes replaced, removed or added."""
    result = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at, size = rng.randrange(len(result)), rng.randint(1, 4)
        how = rng.choice(["replace", "remove", "add"])
        result[at : at + (0 if how == "add" else size)] = b"" if how == "remove" else rng.randbytes(size)
    return bytes(result)


def with_changed_pickle(content, rng):
    """The archive, whole, around a description of its tensors that was changed."""
    beside = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(beside, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, changed(part, rng) if name.endswith("data.pkl") else part)
    return beside.getvalue()


def test_resume_from_mutated_checkpoints(tmp_path):
    fit_of_a_stub().run(keep_checkpoints(tmp_path), {"seed": 1})
    folder = tmp_path / "checkpoint_000000"
    written = (folder / "checkpoint.pt").read_bytes()
    facts = json.loads((folder / "checkpoint.json").read_text())
    rng = random.Random(0)
    refused = 0
    for number in range(MUTATIONS):
        content = (changed if number % 3 == 0 else with_changed_pickle)(written, rng)
        (folder / "checkpoint.pt").write_bytes(content)
        digest = hashlib.blake2b(content).hexdigest()
        (folder / "checkpoint.json").write_text(json.dumps(facts | {"blake2b": digest}))
        with contextlib.suppress(UserError):
            refused += 1
            fit_of_a_stub().restore([folder])
            refused -= 1
    assert MUTATIONS / 2 < refused < MUTATIONS
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoint.json", "checkpoint.pt", folder.name]
