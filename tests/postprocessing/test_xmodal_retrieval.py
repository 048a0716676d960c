import csv
import json

import h5py
import numpy as np
import pytest

from postprocessing import xmodal_retrieval, xmodal_scores
from tests.postprocessing.commands import command_of, error_of, run
from utils.artefact_utils import read_clips, read_text_table
from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.ranking import tie_order
from utils.metric_utils.retrieval import retrieval_metrics

SCORES = "evaluation_xmodal_scores.hdf5"


@pytest.fixture
def scored(trained, capsys):
    run(xmodal_scores.main, capsys, trained)
    return trained


def tables(folder):
    """Captions and clips of the evaluation split."""
    features = folder / "features"
    captions = read_text_table(features / "evaluation_text.csv", "")
    return captions, read_clips(features / "audio_info.pkl", "evaluation", "")


def report_of(folder):
    return json.loads((folder / "runs" / "tiny" / "evaluation_retrieval_metrics.json").read_text())


def rewrite_scores(folder, change):
    with h5py.File(folder / "runs" / "tiny" / "trial_00000" / SCORES, "r+") as file:
        scores = file["scores"][:]
        change(scores)
        file["scores"][:] = scores
    return scores


def independent(scores, relevant):
    """R@k, AP@10 and hit@k of a (Q, C) matrix with (Q, C) relevance, ties by index."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)  # (Q, C) in rank order
    found = {f"R@{k}": (hits[:, :k].sum(1) / relevant.sum(1)).mean() for k in (1, 5, 10)}
    precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    for k in (10, 16):
        found[f"mAP@{k}"] = ((precision * hits)[:, :k].sum(1) / relevant.sum(1)).mean()
    found["median_rank"] = np.median(hits.argmax(1) + 1)
    return found, {f"hit@{k}": hits[:, :k].any(1).mean() for k in (1, 5, 10)}


def test_metrics_equal_an_independent_computation(scored, capsys):
    rng = np.random.default_rng(0)
    # rounded, so that there are ties
    scores = rewrite_scores(scored, lambda s: np.copyto(s, rng.standard_normal(s.shape).round(1)))
    result = run(xmodal_retrieval.main, capsys, scored)
    captions, clips = tables(scored)
    relevant = np.array([[caption.fid == clip.fid for clip in clips] for caption in captions])
    report = report_of(scored)
    t2a, _ = independent(scores, relevant)
    assert report["text_to_audio"] == pytest.approx({**t2a, "queries": 8, "candidates": 4})
    order = tie_order(8)  # a clip's captions are neighbours: their ties are broken by another order than the index
    a2t, hits = independent(scores.T[:, order], relevant.T[:, order])
    assert report["audio_to_text"] == pytest.approx({**a2t, **hits, "queries": 4, "candidates": 8})
    assert f"{t2a['mAP@10']:.4f}" in result.out
    assert f"{a2t['R@1']:.4f}" in result.out


def test_the_report_has_these_keys(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    report = report_of(scored)
    assert set(report) == {"text_to_audio", "audio_to_text", "chance", "intervals", "protocol", "left_out", "made_from"}
    assert report["left_out"] == {"clips": 0, "captions": 0}
    shared = {"R@1", "R@5", "R@10", "mAP@10", "mAP@16", "median_rank"}
    hits = {"hit@1", "hit@5", "hit@10"}
    assert set(report["text_to_audio"]) == shared | {"queries", "candidates"}
    assert set(report["audio_to_text"]) == shared | hits | {"queries", "candidates"}
    assert set(report["chance"]) == {"text_to_audio", "audio_to_text"}
    assert set(report["chance"]["text_to_audio"]) == shared
    assert set(report["chance"]["audio_to_text"]) == shared | hits
    assert set(report["made_from"]) == {"split", "checkpoint", "scores"}
    assert report["protocol"] == {"name": "dcase2023", "leading": "mAP@10"}
    intervals = report["intervals"]
    assert (intervals["level"], set(intervals)) == (0.95, {"level", "text_to_audio", "audio_to_text"})
    assert set(intervals["text_to_audio"]["bootstrap"]) == shared
    assert set(intervals["text_to_audio"]["jackknife"]) == shared - {"median_rank"}
    assert set(intervals["audio_to_text"]["bootstrap"]) == shared | hits
    for direction in ("text_to_audio", "audio_to_text"):
        for key, (low, high) in intervals[direction]["bootstrap"].items():
            assert low <= report[direction][key] <= high


def test_chance_by_hand(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    chance = report_of(scored)["chance"]["text_to_audio"]
    expected = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4  # one of four clips is right
    assert chance == pytest.approx(
        {"R@1": 0.25, "R@5": 1.0, "R@10": 1.0, "mAP@10": expected, "mAP@16": expected, "median_rank": 2.5}
    )


def test_constant_scores_are_at_chance(scored, capsys):
    rewrite_scores(scored, lambda scores: scores.fill(0.5))
    run(xmodal_retrieval.main, capsys, scored)
    report = report_of(scored)
    chance = report["chance"]["text_to_audio"]
    assert {key: report["text_to_audio"][key] for key in chance} == pytest.approx(chance)


def test_the_table_of_best_clips(scored, capsys):
    rng = np.random.default_rng(1)
    scores = rewrite_scores(scored, lambda s: np.copyto(s, rng.standard_normal(s.shape)))
    run(xmodal_retrieval.main, capsys, scored)
    captions, clips = tables(scored)
    path = scored / "runs" / "tiny" / "evaluation.t2a_retrieval.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["caption", "file_name_1", "file_name_2", "file_name_3", "file_name_4"]  # there are four clips
    for caption, row, line in zip(captions, scores, rows, strict=True):
        assert line == [caption.raw_text, *(clips[n].fname for n in np.argsort(-row))]
    trial = scored / "runs" / "tiny" / "trial_00000"
    assert path.read_bytes() == (trial / path.name).read_bytes()


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_score_that_is_not_finite_is_refused_by_name(value, word, scored, capsys):
    def spoil(scores):
        scores[3, 2] = value

    rewrite_scores(scored, spoil)
    captions, clips = tables(scored)
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert f"the score of caption '{captions[3].raw_text}' and clip '{clips[2].fname}' is {word}" in message
    assert f"write it again: {command_of(scored, 'postprocessing.xmodal_scores')}" in message
    assert not (scored / "runs" / "tiny" / "evaluation_retrieval_metrics.json").exists()


def test_scores_of_another_checkpoint_are_refused(trained, capsys):
    run(xmodal_scores.main, capsys, trained, "--checkpoint", "checkpoint_000001")
    message = error_of(run(xmodal_retrieval.main, capsys, trained, "--checkpoint", "checkpoint_000000"))
    assert "made by trial_00000/checkpoint_000001 (epoch 2), this run wants trial_00000/checkpoint_000000" in message
    repair = message.rpartition("write it again: ")[2]
    assert repair == command_of(trained, "postprocessing.xmodal_scores", "--checkpoint", "checkpoint_000000")


def test_scores_that_are_not_there_are_asked_for(trained, capsys):
    message = error_of(run(xmodal_retrieval.main, capsys, trained, "--split", "validation"))
    repair = command_of(trained, "postprocessing.xmodal_scores", "--split", "validation")
    assert message.endswith(f"validation_xmodal_scores.hdf5: no such file; write it: {repair}")


def test_a_truncated_score_file_is_refused(scored, capsys):
    path = scored / "runs" / "tiny" / "trial_00000" / SCORES
    path.write_bytes(path.read_bytes()[:600])
    assert "not a complete HDF5 file; write it again" in error_of(run(xmodal_retrieval.main, capsys, scored))


def test_tables_that_have_changed_since_are_refused(scored, capsys):
    captions, _ = tables(scored)
    path = scored / "features" / "evaluation_text.csv"
    path.write_text(path.read_text().replace(captions[2].tid, "0" * 16))
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert "the tables of 'evaluation', which have changed since, differ in 2 ids, such as 0000000000000000" in message


def test_a_caption_that_was_never_scored_is_noticed(scored, capsys):
    path = scored / "features" / "evaluation_text.csv"
    last = path.read_text().splitlines()[-1]
    with path.open("a") as stream:
        stream.write(last.replace(last.split(",")[0], "f" * 16) + "\n")
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert "which have changed since, differ in 1 ids, such as ffffffffffffffff; write it again: " in message


def test_tables_that_are_gone_are_made_by_stage_1(scored, capsys):
    (scored / "features" / "evaluation_text.csv").unlink()
    message = error_of(run(xmodal_retrieval.main, capsys, scored))
    assert (
        f"evaluation_text.csv: no such file; write it: {command_of(scored, 'preprocessing.clotho_dataset')}" in message
    )


def write_relevance(folder, rows):
    with (folder / "corpus" / "metadata_eval.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["query", "audio_filenames"])
        writer.writerows(rows)


def test_dcase2025_by_hand(scored, capsys):
    captions, clips = tables(scored)
    names = [clip.fname for clip in clips]
    texts = [caption.raw_text for caption in captions]
    rows = [
        [texts[4].upper() + ".", str([names[0], names[3]])],  # found by its words
        [texts[1], str([names[2], "elsewhere.wav"])],
        ["a text of no caption", str(names[:1])],
        [texts[1], str(names[:1])],  # a second time
    ]
    write_relevance(scored, rows)
    scores = rewrite_scores(scored, lambda scores: None)
    result = run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2025")
    path = scored / "runs" / "tiny" / "evaluation_retrieval_metrics_dcase2025.json"
    report = json.loads(path.read_text())

    def ranks(caption, relevant):
        order = sorted(range(4), key=lambda clip: (-scores[caption, clip], clip))
        return sorted(order.index(clip) + 1 for clip in relevant)

    one, two = ranks(4, [0, 3]), ranks(1, [2])
    ap = [(1 / one[0] + 2 / one[1]) / 2, 1 / two[0]]
    gain = [sum(1 / np.log2(rank + 1) for rank in one) / (1 + 1 / np.log2(3)), 1 / np.log2(two[0] + 1)]
    measured = report["text_to_audio"]
    assert measured["mAP@16"] == pytest.approx(np.mean(ap))
    assert measured["R@1"] == pytest.approx(np.mean([(one[0] == 1) / 2, two[0] == 1]))
    assert measured["nDCG@10"] == pytest.approx(np.mean(gain))
    assert (measured["queries"], measured["candidates"]) == (2, 4)
    assert report["protocol"] == {"name": "dcase2025", "leading": "mAP@16"}
    relevance = report["relevance"]
    assert (relevance["queries"], relevance["relevant_pairs"], relevance["mean_relevant"]) == (2, 3, 1.5)
    assert relevance["unmatched"] == ["a text of no caption"]
    assert relevance["duplicates"] == [texts[1]]
    assert relevance["unknown_files"] == ["elsewhere.wav"]
    assert "1 queries are no caption of the split, such as 'a text of no caption'" in result.out
    assert "1 relevant files are no clip of the split, such as 'elsewhere.wav'" in result.out


def test_dcase2025_without_its_lists_is_refused(scored, capsys):
    message = error_of(run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2025"))
    assert message.endswith("that dcase2025 is measured by: name the file with --relevance")
    write_relevance(scored, [["no caption at all", "['a.wav']"]])
    message = error_of(run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2025"))
    assert "none of its queries is a caption of 'evaluation', such as 'no caption at all'" in message


@pytest.mark.parametrize("year", [2022, 2023, 2024])
def test_years_of_one_clip_a_caption_measure_the_same(year, scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    run(xmodal_retrieval.main, capsys, scored, "--protocol", f"dcase{year}")
    named = json.loads((scored / "runs" / "tiny" / f"evaluation_retrieval_metrics_dcase{year}.json").read_text())
    assert named["text_to_audio"] == report_of(scored)["text_to_audio"]
    assert named["protocol"]["leading"] == "mAP@10"


def write_matrix(path, captions, clips, scores):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["query", *(clip.fname for clip in clips)])
        writer.writerows([caption.raw_text, *row] for caption, row in zip(captions, scores.tolist(), strict=True))


def test_scores_of_another_system_are_measured_by_the_same_code(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    captions, clips = tables(scored)
    scores = rewrite_scores(scored, lambda scores: None)
    write_matrix(scored / "other.csv", captions[::-1], clips[::-1], scores[::-1, ::-1])  # in another order
    result = run(xmodal_retrieval.main, capsys, scored, "--scores", str(scored / "other.csv"))
    assert result.code == 0
    report = json.loads((scored / "runs" / "foreign" / "other.csv" / "evaluation_retrieval_metrics.json").read_text())
    ours = report_of(scored)
    assert report["text_to_audio"] == pytest.approx(ours["text_to_audio"])
    assert report["audio_to_text"] == pytest.approx(ours["audio_to_text"])
    assert report["made_from"]["checkpoint"] == "other.csv"


@pytest.mark.parametrize("names", [4, 3])
def test_our_own_lists_of_ten_names_are_scores_too(scored, capsys, names):
    run(xmodal_retrieval.main, capsys, scored)
    table = scored / "evaluation.t2a_retrieval.csv"
    with (scored / "runs" / "tiny" / table.name).open(newline="") as ours, table.open("w", newline="") as cut:
        csv.writer(cut).writerows(row[: 1 + names] for row in csv.reader(ours))
    result = run(xmodal_retrieval.main, capsys, scored, "--scores", str(table))
    assert result.code == 0, result.err
    folder = scored / "runs" / "foreign" / "evaluation.t2a_retrieval.csv"
    report = json.loads((folder / "evaluation_retrieval_metrics.json").read_text())
    assert "audio_to_text" not in report
    for key in ("median_rank", "mAP@10", "R@5"):  # of four clips, four names tell every rank, three do not
        assert (key in report["text_to_audio"]) == (names == 4)
    ours = report_of(scored)["text_to_audio"]
    for key in set(report["text_to_audio"]) - {"queries", "candidates"}:
        assert report["text_to_audio"][key] == pytest.approx(ours[key])


def test_a_system_that_scored_some_captions_alone_is_refused_but_by_dcase2025(scored, capsys):
    captions, clips = tables(scored)
    scores = rewrite_scores(scored, lambda scores: None)
    write_matrix(scored / "some.csv", captions[:3], clips, scores[:3])
    message = error_of(run(xmodal_retrieval.main, capsys, scored, "--scores", str(scored / "some.csv")))
    assert "some.csv: 5 captions have no scores, the first is" in message
    assert "and dcase2023 needs every caption; add their rows" in message
    write_relevance(scored, [[captions[1].raw_text, str([clips[0].fname])]])
    run(xmodal_retrieval.main, capsys, scored, "--scores", str(scored / "some.csv"), "--protocol", "dcase2025")
    path = scored / "runs" / "foreign" / "some.csv" / "evaluation_retrieval_metrics_dcase2025.json"
    assert json.loads(path.read_text())["text_to_audio"]["queries"] == 1


def test_a_matrix_that_lacks_queries_of_the_lists_is_refused(scored, capsys):
    """A system cannot leave its hard queries out."""
    captions, clips = tables(scored)
    scores = rewrite_scores(scored, lambda scores: None)
    write_matrix(scored / "some.csv", captions[:3], clips, scores[:3])
    write_relevance(scored, [[captions[row].raw_text, str([clips[0].fname])] for row in (1, 5)])
    arguments = ["--scores", str(scored / "some.csv"), "--protocol", "dcase2025"]
    message = error_of(run(xmodal_retrieval.main, capsys, scored, *arguments))
    assert f"1 captions have no scores, the first is '{captions[5].raw_text}'" in message
    assert "metadata_eval.csv needs 2 captions; add their rows" in message


def test_constant_scores_of_clips_are_at_chance_over_orders():
    """By index, a clip's captions would stand together, and one clip would find all of its own first."""
    found, by_index = [], []
    for clips in range(100, 160):
        captions = 5 * clips
        own = np.repeat(np.arange(clips), 5)
        order = tie_order(captions)
        ranks = np.arange(1, captions + 1)
        found.append(retrieval_metrics(ranks, own[order], clips)["mAP@10"] * captions)
        by_index.append(retrieval_metrics(ranks, own, clips)["mAP@10"] * captions)
    chance = chance_metrics(np.full(100, 5), 500)["mAP@10"] * 500
    assert np.mean(found) == pytest.approx(chance, rel=0.1)
    assert np.mean(by_index) > 2 * chance


def test_the_jackknife_stands_in_the_table_of_2022(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    low, high = report_of(scored)["intervals"]["text_to_audio"]["jackknife"]["mAP@10"]
    result = run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2022")
    assert "95 % jackknife" in result.out
    assert f"{low:.4f} - {high:.4f}" in result.out
    assert "--protocol dcase2022" in result.out.splitlines()[-1]  # the next command measures the same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scores", "x.npz", "--run", "runs/x"], "--scores x.npz: does not go with --run; leave one of them out"),
        (["--queries", "q.txt"], "--queries: only for --scores FILE.npy"),
        (["--scores", "x.csv", "--files", "f.txt"], "--files: only for --scores FILE.npy"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, message, scored, capsys):
    assert message in error_of(run(xmodal_retrieval.main, capsys, scored, *arguments))


def test_clips_that_were_left_out_are_told(scored, capsys):
    captions, clips = tables(scored)
    path = scored / "runs" / "tiny" / "trial_00000" / SCORES
    gone = clips[0].fid
    kept = [row for row, caption in enumerate(captions) if caption.fid != gone]
    with h5py.File(path, "r+") as file:
        rows_of = {"tid": kept, "text_embeddings": kept, "fid": [1, 2, 3], "audio_embeddings": [1, 2, 3]}
        for name, rows in (("scores", None), *rows_of.items()):
            data = file[name][:] if rows is None else file[name][:][rows]
            data = data[kept][:, 1:] if rows is None else data
            attributes = file[name].dtype
            del file[name]
            file.create_dataset(name, data=data, dtype=attributes)
        file.attrs["left_out"] = json.dumps([gone])
    result = run(xmodal_retrieval.main, capsys, scored)
    assert "1 clips and 2 captions of 'evaluation' are left out of all numbers" in result.out
    report = report_of(scored)
    assert report["left_out"] == {"clips": 1, "captions": 2}
    assert (report["text_to_audio"]["queries"], report["text_to_audio"]["candidates"]) == (6, 3)
    assert "audio_to_text" in report

    # the columns of relevance lists are those of the clips that were scored
    of_clip = {clip.fid: [c for c in captions if c.fid == clip.fid] for clip in clips}
    own = [[of_clip[clip.fid][0].raw_text, str([clip.fname])] for clip in clips]
    write_relevance(scored, own)
    result = run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2025")
    assert result.code == 0, result.err
    with h5py.File(path) as file:
        scores, tids, fids = file["scores"][:], list(file["tid"].asstr()), list(file["fid"].asstr())
    ranks = []
    for clip in clips[1:]:
        row = scores[tids.index(of_clip[clip.fid][0].tid)]
        ranks.append(1 + (row > row[fids.index(clip.fid)]).sum())
    named = json.loads((scored / "runs" / "tiny" / "evaluation_retrieval_metrics_dcase2025.json").read_text())
    assert named["text_to_audio"]["mAP@16"] == pytest.approx(np.mean(1 / np.array(ranks)))
    assert named["text_to_audio"]["queries"] == 3
    assert named["relevance"]["unmatched"] == [own[0][0]]
