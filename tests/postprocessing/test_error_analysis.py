"""The page of a retrieval run: the numbers of the metrics, the order of the queries, and sounds that play."""

import csv
import json
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from postprocessing import error_analysis, xmodal_retrieval, xmodal_scores
from postprocessing.error_analysis import page_of
from tasks.retrieval.errors import Errors
from tasks.retrieval.evaluation import evaluate_split
from tasks.retrieval.scores import SplitScores
from tests.pages import needs_browser, opened, parsed, read, targets
from tests.postprocessing.commands import command_of, error_of, run
from tests.tasks.retrieval.test_errors import errors_by_hand
from tests.training import run_of, write_trial
from utils.artefact_utils import Caption, Clip, read_clips, read_text_table, write_json, write_text_table
from utils.data_utils import Tables
from utils.metric_utils.protocols import PROTOCOLS

PAGE = "evaluation_error_analysis.html"
SECTIONS = [
    "Metrics",
    "Ranks",
    "Caption length",
    "Relevant clips",
    "Found too often",
    "Hardest queries",
    "Easiest queries",
]


@pytest.fixture
def scored(trained, capsys):
    """A trained run with random scores of 8 captions and 4 clips."""
    run(xmodal_scores.main, capsys, trained)
    with h5py.File(trained / "runs" / "tiny" / "trial_00000" / "evaluation_xmodal_scores.hdf5", "r+") as file:
        file["scores"][:] = np.random.default_rng(0).standard_normal((8, 4))
    return trained


def tables(folder):
    features = folder / "features"
    captions = read_text_table(features / "evaluation_text.csv", "")
    return captions, read_clips(features / "audio_info.pkl", "evaluation", "")


def scores_in(folder):
    with h5py.File(folder / "runs" / "tiny" / "trial_00000" / "evaluation_xmodal_scores.hdf5") as file:
        return file["scores"][:]


def table_of(node):
    """The cells of a table by row: text, or the number that it is sorted by."""
    headers = [header.text for header in node.all("th")]
    rows = {}
    for cells in node.rows():
        values = [float(c.attributes["data-value"]) if "data-value" in c.attributes else c.text for c in cells]
        rows[cells[0].text] = dict(zip(headers, values, strict=True))
    return rows


def card_titles(page, section):
    return [node.one("h3").text for node in page.section(section).all("article", "card")]


def test_the_numbers_are_those_of_the_metrics(scored, capsys):
    run(xmodal_retrieval.main, capsys, scored)
    result = run(error_analysis.main, capsys, scored)
    assert result.code == 0, result.err
    report = json.loads((scored / "runs" / "tiny" / "evaluation_retrieval_metrics.json").read_text())
    page = read(scored / "runs" / "tiny" / PAGE)
    assert [node.one("h2").text for node in page.all("section")] == SECTIONS
    for table, direction in zip(page.section("Metrics").all("table"), ["text_to_audio", "audio_to_text"], strict=True):
        rows = table_of(table)
        measured = report[direction]
        assert set(rows) == set(measured) - {"queries", "candidates"}
        for key, row in rows.items():
            assert row["value"] == measured[key]
            assert row["chance"] == report["chance"][direction][key]
            assert row["bootstrap, 95 %"] == report["intervals"][direction]["bootstrap"][key][0]
        shown = {cells[0].text: [cell.text for cell in cells] for cells in table.rows()}
        low, high = report["intervals"][direction]["jackknife"]["R@1"]
        assert shown["R@1"][3] == f"{low:.4f} to {high:.4f}"
        assert shown["median_rank"][3] == ""
    assert f"{report['text_to_audio']['mAP@10']:.4f}" in result.out
    low, high = report["intervals"]["text_to_audio"]["bootstrap"]["R@1"]
    assert f"{low:.4f} to {high:.4f}" in result.out


def test_what_is_printed_and_where_it_lies(scored, capsys):
    result = run(error_analysis.main, capsys, scored)
    public = scored / "runs" / "tiny" / PAGE
    assert f"wrote {public}: open it in a browser" in result.out
    (hardest, *_) = card_titles(read(public), "Hardest queries")
    assert f"next: {command_of(scored, 'postprocessing.search', hardest)}" in result.out
    assert "Text to audio on 'evaluation', trial_00000/checkpoint_" in result.out
    assert not list((scored / "runs" / "tiny").glob(".*"))


def test_the_queries_come_in_the_order_of_their_ranks(scored, capsys):
    captions, clips = tables(scored)
    scores = scores_in(scored)
    run(error_analysis.main, capsys, scored, "--hardest", "3", "--easiest", "2", "--top", "2")
    page = read(scored / "runs" / "tiny" / PAGE)
    keyed = []
    for row, caption in zip(scores, captions, strict=True):
        own = [clip.fid for clip in clips].index(caption.fid)
        rank = 1 + int((row > row[own]).sum())
        keyed.append((-rank, row[own] - np.delete(row, own).max(), caption.raw_text, rank, own, row))
    keyed.sort(key=lambda entry: entry[:2])
    assert card_titles(page, "Hardest queries") == [entry[2] for entry in keyed[:3]]
    assert card_titles(page, "Easiest queries") == [entry[2] for entry in keyed[::-1][:2]]
    for card, (_, _, _, rank, own, row) in zip(
        page.section("Hardest queries").all("article", "card"), keyed[:3], strict=True
    ):
        assert f"sought: rank {rank} of 4; AP@10 {1 / rank:.4f}" in card.text
        found = [node.one("audio").attributes["aria-label"] for node in card.all("div", "player")]
        best = [int(n) for n in np.argsort(-row)[:2]]
        expected = best if own in best else [own, *best]
        assert found == [clips[n].fname for n in expected]
        lines = [node.all("p", "quiet")[0].text for node in card.all("div", "player")]
        places = np.argsort(np.argsort(-row)) + 1
        words = [f"{'sought, ' * (n == own)}rank {places[n]}, score {row[n]:.4f}" for n in expected]
        assert lines == words
        assert len(card.all("div", "good")) == 1


def test_sounds_are_found_from_both_places(scored, capsys):
    run(error_analysis.main, capsys, scored)
    for folder in (scored / "runs" / "tiny", scored / "runs" / "tiny" / "trial_00000"):
        found = targets(folder / PAGE)
        assert len(found) > 8 * 4
        assert {path.resolve() for path in found} == set((scored / "corpus" / "evaluation").resolve().iterdir())
        assert read(folder / PAGE).text.count("no such file") == 0


def test_only_the_best_trial_has_a_page_in_the_experiments_folder(scored, capsys):
    worse = write_trial(run_of(scored), "trial_00001")
    for path in worse.glob("*/checkpoint.json"):
        facts = json.loads(path.read_text())
        write_json(path, facts | {"metrics": facts["metrics"] | {"mAP@10": 0.0}})
    run(xmodal_scores.main, capsys, scored, "--trial", "trial_00001")
    result = run(error_analysis.main, capsys, scored, "--trial", "trial_00001")
    assert f"wrote {worse / PAGE}: open it" in result.out
    assert not (scored / "runs" / "tiny" / PAGE).exists()


def test_sounds_that_are_gone_are_named(scored, capsys):
    shutil.rmtree(scored / "corpus" / "evaluation")
    assert run(error_analysis.main, capsys, scored).code == 0
    page = read(scored / "runs" / "tiny" / PAGE)
    assert not page.all("audio")
    assert f"no such file: {scored / 'corpus' / 'evaluation' / 'evaluation 0.wav'}" in page.text


MARKUP = '<script>document.title = "taken"</script> & "é" 鳥'


def spoil_captions(folder):
    path = folder / "features" / "evaluation_text.csv"
    captions = read_text_table(path, "")
    write_text_table(path, [c._replace(raw_text=f"{MARKUP} {n}") for n, c in enumerate(captions)])


def test_captions_are_text(scored, capsys):
    spoil_captions(scored)
    run(error_analysis.main, capsys, scored)
    page = read(scored / "runs" / "tiny" / PAGE)
    assert len(page.all("script")) == 1
    assert sorted(card_titles(page, "Hardest queries")) == [f"{MARKUP} {n}" for n in range(8)]


LISTEN = """
const told = document.createElement("pre");
document.body.append(told);
for (const audio of document.querySelectorAll("audio")) {
  for (const kind of ["loadedmetadata", "error"]) audio.addEventListener(kind, () => told.append(`${kind}\\n`));
  audio.preload = "metadata";
  audio.load();
}
"""


@needs_browser
def test_a_browser_opens_the_page_and_its_sounds(scored, capsys):
    spoil_captions(scored)
    run(error_analysis.main, capsys, scored, "--hardest", "2", "--easiest", "1")
    dom, console = opened(scored / "runs" / "tiny" / PAGE, LISTEN)
    assert console == []
    assert dom.one("head").one("title").text == "Error analysis: retrieval on 'evaluation'"
    heard = dom.all("pre")[-1].text.split()
    assert len(heard) == len(dom.all("audio")) >= 12
    assert set(heard) == {"loadedmetadata"}


def write_relevance(folder, rows):
    with (folder / "corpus" / "metadata_eval.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["query", "audio_filenames"], *rows])


def test_several_relevant_clips(scored, capsys):
    captions, clips = tables(scored)
    names, texts = [clip.fname for clip in clips], [caption.raw_text for caption in captions]
    wanted = {5: [0, 3, 1], 2: [1], 0: [2, 3]}
    write_relevance(scored, [[texts[row], str([names[n] for n in own])] for row, own in wanted.items()])
    run(xmodal_retrieval.main, capsys, scored, "--protocol", "dcase2025")
    result = run(error_analysis.main, capsys, scored, "--protocol", "dcase2025", "--top", "1")
    public = scored / "runs" / "tiny" / "evaluation_error_analysis_dcase2025.html"
    assert f"wrote {public}: " in result.out
    page = read(public)
    path = scored / "runs" / "tiny" / "evaluation_retrieval_metrics_dcase2025.json"
    report = json.loads(path.read_text())["text_to_audio"]
    rows = table_of(page.section("Metrics").all("table")[0])
    assert {key: row["value"] for key, row in rows.items()} == {
        key: value for key, value in report.items() if key not in ("queries", "candidates")
    }
    assert (
        "Relevant clips are those of metadata_eval.csv. Of its queries 0 are no caption; 0 are listed twice"
        in page.text
    )
    scores = scores_in(scored)
    rows = table_of(page.section("Relevant clips").one("table"))
    for row, own in wanted.items():
        order = np.argsort(-scores[row]).tolist()
        ranks = sorted(order.index(n) + 1 for n in own)
        found = rows[str(len(own))]
        assert found["queries"] == 1
        assert found["R@1"] == (ranks[0] == 1) / len(own)
        assert found["mAP@16"] == pytest.approx(np.mean([(n + 1) / rank for n, rank in enumerate(ranks)]))
        assert found["mAP@16, 95 %"] == ""  # of a single clip there is no interval
        (card,) = [c for c in page.section("Hardest queries").all("article", "card") if c.one("h3").text == texts[row]]
        assert f"sought: {', '.join(f'rank {rank}' for rank in ranks)} of 4; AP@16" in card.text
        assert len(card.all("div", "good")) == len(own)  # every relevant clip can be heard


def test_lists_of_names_have_no_scores_and_no_ranks_beyond(scored, capsys):
    captions, clips = tables(scored)
    with (scored / "other.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["caption", "file_name_1", "file_name_2"])
        for caption in captions[:2]:  # the first caption's own clip comes first, the second's is not named
            others = [clip.fname for clip in clips if clip.fid != caption.fid]
            writer.writerow([caption.raw_text, *([caption.fname, others[0]] if caption == captions[0] else others[:2])])
        writer.writerows([c.raw_text, c.fname, next(d.fname for d in clips if d.fid != c.fid)] for c in captions[2:])
    result = run(error_analysis.main, capsys, scored, "--scores", str(scored / "other.csv"))
    assert result.code == 0, result.err
    page = read(scored / "runs" / "foreign" / "other.csv" / PAGE)
    assert "score" not in page.section("Hardest queries").text.replace("scores", "")
    rows = table_of(page.section("Ranks").one("table"))
    assert {label: row["queries"] for label, row in rows.items()} == {"1": 7, "2": 0, "not named": 1}
    assert [row["chance"] for row in rows.values()] == pytest.approx([2, 2, 4])
    first = page.section("Hardest queries").all("article", "card")[0]
    assert first.one("h3").text == captions[1].raw_text
    assert "sought: not among the 2 named of 4" in first.text
    assert len(first.all("div", "player")) == 3  # the one that was sought, and the two named
    assert all(path.is_file() for path in targets(scored / "runs" / "foreign" / "other.csv" / PAGE))
    folder, file = str(scored / "runs" / "tiny"), str(scored / "other.csv")
    assert f"next: {command_of(scored, 'postprocessing.compare', folder, file)}" in result.out


def test_bad_input_is_told_in_one_line(trained, capsys):
    message = error_of(run(error_analysis.main, capsys, trained))
    repair = command_of(trained, "postprocessing.xmodal_scores")
    assert message.endswith(f"evaluation_xmodal_scores.hdf5: no such file; write it: {repair}")
    run(xmodal_scores.main, capsys, trained)
    message = error_of(run(error_analysis.main, capsys, trained, "--protocol", "dcase2025"))
    assert "that dcase2025 is measured by: name the file with --relevance" in message
    with h5py.File(trained / "runs" / "tiny" / "trial_00000" / "evaluation_xmodal_scores.hdf5", "r+") as file:
        file["scores"][3, 2] = np.nan
    assert "is nan, expected a finite number; write it again" in error_of(run(error_analysis.main, capsys, trained))
    assert not (trained / "runs" / "tiny" / PAGE).exists()


def test_sections_by_hand(tmp_path):
    page = parsed(page_of(errors_by_hand(tmp_path), 2, 1).html(tmp_path))
    ranks = table_of(page.section("Ranks").one("table"))
    assert {label: (row["queries"], row["share up to here"]) for label, row in ranks.items()} == {
        "1": (2, 0.4),
        "2–3": (3, 1),
    }
    assert [row["chance"] for row in ranks.values()] == pytest.approx([5 / 3, 10 / 3])
    bars = [node.text for node in page.section("Ranks").all("title")]
    assert bars == ["1: queries 2", "1: chance 1.667", "2–3: queries 3", "2–3: chance 3.333"]
    lengths = table_of(page.section("Caption length").one("table"))
    assert {label: (row["queries"], row["R@1"], row["mAP@10"]) for label, row in lengths.items()} == {
        "2": (2, 1, 1),
        "4": (2, 0, pytest.approx((1 / 2 + 1 / 3) / 2)),
        "6": (1, 0, pytest.approx(1 / 3)),
    }
    assert "Every query has one relevant clip" in page.section("Relevant clips").text
    often = page.section("Found too often")
    assert "on average 1.0 times." in often.text
    (player,) = often.all("div", "player")  # clip 0 came first for three queries that want another one
    assert player.text.split("\n") == [
        f"no such file: {tmp_path}/x/0.wav3 times",
        "a dogx y",
        "0.wav",
    ]


def test_a_single_clip_has_no_interval(tmp_path):
    clips = [Clip(f"f{n}", f"{n}.wav", f"{n}.wav", 1.0, 8000, 1, "") for n in range(1)]
    captions = [Caption(f"t{n}", "f0", "0.wav", "a dog", "a dog", "") for n in range(2)]
    scores, tables = np.zeros((2, 1), np.float32), Tables(clips, captions)
    scored = SplitScores("one", "test", tmp_path / "s", tmp_path, captions, clips, tables, scores)
    settings = SimpleNamespace(data=SimpleNamespace(root=tmp_path))
    evaluation = evaluate_split(scored, settings, PROTOCOLS["dcase2023"], top=3)
    page = parsed(page_of(Errors.of(scored, settings, evaluation, 5), 2, 1).html(tmp_path))
    headers = [node.text for node in page.section("Metrics").all("table")[0].all("th")]
    assert headers == ["metric", "value", "chance"]
    assert "No clip is among the first 5 of more wrong queries" in page.section("Found too often").text
