"""The simulated corpus goes through the project's own code, and what is measured of it is written down."""

import json
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import scale_corpus
from benchmarks.scale_corpus import Measured, read_table, write_table
from benchmarks.scale_steps import BATCH_SIZE, FRAMES, STEPS, Corpus
from tests import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus of 2000 clips after all steps, in this process."""
    corpus = Corpus(tmp_path_factory.mktemp("corpus"), 2000)
    for step in STEPS.values():
        step(corpus)
    return corpus


def test_a_corpus_goes_through_all_steps(made):
    assert [clip.fid for clip in made.opened.clips] == [clip.fid for clip in made.rows]
    fids = [clip.fid for clip in made.rows]
    assert fids != sorted(fids)  # as digests of files are
    for row in (0, 1999):
        assert (np.asarray(made.opened.audio.views[row]) == row % 50).all()
        assert made.opened.audio.lengths[row] == FRAMES
    drawn = [batch.captions for batch in made.opened.pair_sampler(BATCH_SIZE, 0, made.sampling)]
    assert sorted(np.concatenate(drawn)) == list(range(2000))


def test_a_corpus_of_any_size_has_held_out_splits(tmp_path):
    corpus = Corpus(tmp_path, 3)
    STEPS["write tables"](corpus)
    assert len(corpus.rows) == 3
    STEPS["look for recordings in two places"](corpus)


def test_a_step_says_what_it_cost(made, capsys):
    scale_corpus.run(str(made.data.features), 2000, "draw an epoch")
    row = Measured(*json.loads(capsys.readouterr().out))
    assert (row.step, row.clips) == ("draw an epoch", 2000)
    assert 0 < row.us_a_clip < 1000
    assert 50 < row.start_mb <= row.peak_mb


def test_what_is_measured_already_is_not_measured_again(tmp_path, capsys):
    known = [Measured(step, 5, 0.001, 0.002, 100.0, 200.0) for step in list(STEPS)[1:]]
    write_table(tmp_path / "measured.csv", known)
    table, curve = str(tmp_path / "table.csv"), str(tmp_path / "curve.png")
    scale_corpus.main(["--clips", "5", "--folder", str(tmp_path), "--table", table, "--curve", curve])
    printed = capsys.readouterr().out
    assert printed.count("clips |") == 1
    assert "5 clips | write tables" in printed
    rows = read_table(tmp_path / "table.csv")
    assert [row.step for row in rows] == list(STEPS)  # in the order of the steps
    assert rows[1:] == known
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_cost_of_a_clip_does_not_grow_with_the_corpus():
    rows = read_table(scale_corpus.TABLE)
    assert {row.step for row in rows} == set(STEPS)
    for step in STEPS:
        own = [row for row in rows if row.step == step]
        for small, large in pairwise(own):
            # the machine was shared: the same step twice differs by as much
            assert large.us_a_clip < 2 * small.us_a_clip, step


def test_make_bench_scale_runs_it():
    makefile = (tiny.ROOT / "Makefile").read_text(encoding="utf-8")
    assert (
        "bench-scale: .venv/dev\n\t$(PY) -m benchmarks.scale_corpus\n\t$(PY) -m benchmarks.scaling_table --write\n"
        in makefile
    )
