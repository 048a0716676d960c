import json
from pathlib import Path

import pytest

from utils.artefact_utils.retrieval.ensemble_records import (
    EnsembleMember,
    EnsembleRecord,
    read_ensemble,
    write_ensemble,
)

MEMBERS = (EnsembleMember(Path("runs/a"), 0.75, {"R@1": 0.5}), EnsembleMember(Path("b.npz"), 0.25, {"R@1": 0.25}))
RECORD = EnsembleRecord(MEMBERS, "zscore", "R@1 on 'x'", Path("runs/c/x.hdf5"), "python ...", {"R@1": 0.625})


def test_what_is_written_is_read(tmp_path):
    records = {"x": RECORD, "y": EnsembleRecord((), "rank", "the command line", Path("y.hdf5"), "again")}
    write_ensemble(tmp_path, records)
    assert read_ensemble(tmp_path) == records
    held = json.loads((tmp_path / "ensemble.json").read_text())["splits"]["x"]
    assert held["members"][0] == {"scores": "runs/a", "weight": 0.75, "validation_R@1": 0.5}
    assert held["validation_R@1"] == 0.625


@pytest.mark.parametrize("text", ["", "[]", '{"splits": 1}', '{"splits": {"x": {"members": [{"scores": "a"}]}}}'])
def test_a_file_of_another_form_holds_nothing(text, tmp_path):
    assert read_ensemble(tmp_path) == {}
    (tmp_path / "ensemble.json").write_text(text)
    assert read_ensemble(tmp_path) == {}
