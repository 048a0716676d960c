"""What the DCASE 2023 baseline and its organisers leave, measured: results, shelves of scores, graded relevance."""

import csv
import dbm.dumb
import json
import shelve

import numpy as np
import pandas as pd
import pytest

from postprocessing import compare, xmodal_retrieval
from preprocessing import dcase2023_takeover
from tests.baseline_files import write_baseline_files
from tests.postprocessing.commands import error_of, run
from tests.training import run_of
from utils.data_utils import read_tables

SPLIT = "evaluation"


class Baseline:
    """The baseline's folder, its scores of the evaluation split, and what its own code would print of them."""

    def __init__(self, folder):
        self.folder, self.theirs = folder, folder / "Clotho"
        names = write_baseline_files(self.theirs, folder / "corpus", folder / "encoder")[SPLIT]
        self.table = pd.read_csv(self.theirs / f"{SPLIT}_text.csv")
        self.names, self.fids = names, list(names)
        self.scores = np.random.default_rng(5).standard_normal((len(self.table), len(self.fids))).astype(np.float32)
        self.shelf = folder / "eval_xmodal_scores.db"
        with shelve.Shelf(dbm.dumb.open(str(self.shelf), "n"), protocol=2) as stream:
            for column, fid in enumerate(self.fids):
                stream[fid] = {tid: self.scores[row, column].item() for row, tid in enumerate(self.table.tid)}

    def results(self, header=None):
        """`eval.t2a_retrieval.csv`: the words of each caption and its best clips, by pandas."""
        order = np.argsort(self.scores, axis=1)[:, ::-1][:, :10]
        lines = [
            [text, *(self.names[self.fids[column]] for column in row)]
            for text, row in zip(self.table.text, order, strict=True)
        ]
        path = self.folder / "eval.t2a_retrieval.csv"
        pd.DataFrame(lines, columns=header).to_csv(path, index=False)
        return path

    def ranks(self):
        """(Q,) of the own clip, by hand."""
        own = np.array([self.fids.index(fid) for fid in self.table.fid])
        return 1 + (self.scores > np.take_along_axis(self.scores, own[:, None], 1)).sum(1)

    def measure(self, capsys, path, *arguments):
        result = run(xmodal_retrieval.main, capsys, self.folder, "--scores", str(path), *map(str, arguments))
        assert result.code == 0, result.err
        return result.out

    def metrics(self, path, suffix=""):
        folder = self.folder / "runs" / "foreign" / path.name
        return json.loads((folder / f"{SPLIT}_retrieval_metrics{suffix}.json").read_text())["text_to_audio"]


@pytest.fixture
def baseline(prepared):
    return Baseline(prepared)


def assert_is_that_of(found, ranks):
    assert found["R@1"] == pytest.approx((ranks == 1).mean())
    assert found["mAP@10"] == pytest.approx((1 / ranks).mean())
    assert found["median_rank"] == np.median(ranks)


@pytest.mark.parametrize("header", [None, ["caption", *(f"fname_{n}" for n in range(1, 5))]])
def test_results_with_the_headers_of_2023_and_2024(baseline, capsys, header):
    path = baseline.results(header)
    assert path.read_text().startswith("0,1,2,3,4\n" if header is None else "caption,fname_1,")
    baseline.measure(capsys, path)
    assert_is_that_of(baseline.metrics(path), baseline.ranks())


def test_a_shelf_named_by_the_table_whose_ids_it_has(baseline, capsys):
    found = error_of(run(xmodal_retrieval.main, capsys, baseline.folder, "--scores", str(baseline.shelf)))
    assert f"{baseline.shelf}: none of its 8 ids is one of 'evaluation', such as {baseline.table.tid[0]}" in found
    assert "with --ids FILE" in found
    assert "python -m preprocessing.dcase2023_takeover" in found
    out = baseline.measure(capsys, baseline.shelf, "--ids", baseline.theirs / f"{SPLIT}_text.csv")
    assert f"--ids {baseline.theirs / 'evaluation_text.csv'}" in out.splitlines()[-1]  # the next command takes them too
    assert_is_that_of(baseline.metrics(baseline.shelf), baseline.ranks())


def test_a_shelf_of_a_folder_that_was_taken_over_needs_no_table(baseline, capsys):
    taken = ["--set", f"data.features={baseline.folder / 'taken'}"]
    conf = str(baseline.folder / "conf.yaml")
    dcase2023_takeover.main(["--conf", conf, "--from", str(baseline.theirs), "--workers", "1", *taken])
    baseline.measure(capsys, baseline.shelf.with_name(f"{baseline.shelf.name}.dat"), *taken)
    assert_is_that_of(baseline.metrics(baseline.shelf), baseline.ranks())
    result = run(compare.main, capsys, baseline.folder, str(baseline.shelf), str(baseline.results()), *taken)
    assert result.code == 0, result.err
    assert "0 better, 0 worse" in result.out or "R@1" in result.out


def write_ratings(baseline):
    """Ratings of three captions, in the organisers' layout, with their tables of ids beside them."""
    rated = {0: {0: 90, 1: 30, 2: 0}, 3: {1: 100}, 5: {2: 0}}
    pairs = [
        [baseline.table.tid[row], baseline.fids[column], "C15", rating]
        for row, clips in rated.items()
        for column, rating in clips.items()
    ]
    path = baseline.folder / "data" / "relevance_data" / f"{SPLIT}_relevances.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["tid", "fid", "fid_group", "rating"], *pairs])
    return path


def ndcg(baseline, row, gains):
    """nDCG of a caption by its definition."""
    order = list(np.argsort(-baseline.scores[row]))
    best = sorted(gains.values(), reverse=True)
    found = sum(gain / np.log2(2 + order.index(column)) for column, gain in gains.items())
    return found / sum(gain / np.log2(2 + place) for place, gain in enumerate(best))


@pytest.mark.parametrize("protocol", [[], ["--protocol", "dcase2025"]])
def test_graded_relevances_of_the_organisers(baseline, capsys, protocol):
    path = write_ratings(baseline)
    table = baseline.theirs / f"{SPLIT}_text.csv"
    out = baseline.measure(capsys, baseline.shelf, "--relevance", path, "--ids", table, *protocol)
    assert "1 queries have no relevant clip in the split" in out
    found = baseline.metrics(baseline.shelf, "_dcase2025" if protocol else "")
    expected = np.mean([ndcg(baseline, 0, {0: 90, 1: 30}), ndcg(baseline, 3, {1: 100})])
    assert found["queries"] == 2
    assert found["nDCG@10"] == found["nDCG@16"] == pytest.approx(expected)
    assert "--ids" in out.splitlines()[-1]


def test_ratings_of_ids_that_nothing_explains(baseline, capsys):
    path = write_ratings(baseline)
    result = run(
        xmodal_retrieval.main, capsys, baseline.folder, "--scores", str(baseline.results()), "--relevance", str(path)
    )
    found = error_of(result)
    assert "none of its queries is a caption of 'evaluation'" in found
    assert "of ids, the tables that they are from with --ids FILE" in found


def test_lists_of_other_clips_alone_end_in_one_line(baseline, capsys):
    path = baseline.folder / "list.csv"
    caption = read_tables(run_of(baseline.folder).data, SPLIT).captions[0]
    path.write_text(f"query,audio_filenames\n{caption.raw_text},")
    path.write_text(path.read_text() + "['gone.wav']\n")
    result = run(
        xmodal_retrieval.main, capsys, baseline.folder, "--scores", str(baseline.results()), "--relevance", str(path)
    )
    assert "none of its files is a clip of 'evaluation', such as ['gone.wav']" in error_of(result)
