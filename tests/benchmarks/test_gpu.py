"""The benchmark of a GPU runs, in small sizes, where nothing that decodes sounds is installed."""

import subprocess
import sys

import pytest

from benchmarks.gpu_rows import Row
from tests.tiny import ROOT

BLOCKED = ("ray", "librosa", "soundfile", "soxr", "sentence_transformers")
PROGRAM = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
sys.argv[1:] = ["--tiny"]
from benchmarks.gpu import main
main()
"""


def test_every_row_is_measured_without_the_decoders_of_sounds():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [line.split("|")[0].strip() for line in done.stdout.splitlines() if line.count("|") == 3][1:]
    assert [name.partition(",")[0].partition(":")[0] for name in names] == [
        "CNN14 bf16",
        "bf16",
        "bf16",
        "CNN14 fp32",
        "fp32",
        "fp32",
        "peak memory",
        "wav2vec 2.0 bf16",
    ]


@pytest.mark.parametrize(("ours", "reached"), [(85.0, True), (84.0, False)])
def test_a_row_says_whether_its_target_is_reached(ours, reached):
    row = Row("rate", 100.0, ours, 0.85)
    assert row.reached == reached
    assert ("MISSED" in row.line(judged=True)) != reached
    assert f" {ours / 100:.2f} | >= 0.85" in row.line(judged=True)
    assert row.line(judged=False).endswith(f" {ours / 100:.2f}")
