"""Queries and foreign scores find their captions and clips by id, text and name."""

from pathlib import Path

import numpy as np
import pytest

from tasks.retrieval.matching import align_scores, caption_rows, captions_among, match_queries
from utils.artefact_utils import Caption, Clip
from utils.artefact_utils.retrieval import ForeignScores, RelevanceList
from utils.cli_utils import ArtefactError

TEXTS = ["A dog barks.", "Rain falls", "A Dog barks!", "Rain falls", "Été"]
CLIPS = [Clip(f"f{n}", name, f"evaluation/{name}", 1.0, 44_100, 1, name) for n, name in enumerate("abc")]
CAPTIONS = [Caption(f"t{n}", f"f{n % 3}", "abc"[n % 3], text, "", "") for n, text in enumerate(TEXTS)]


def relevance(query, names, gains=None):
    return RelevanceList(query, tuple(names), tuple(gains or [1.0] * len(names)))


def foreign(queries, files, depth=None, scores=None):
    if scores is None:
        scores = np.arange(len(queries) * len(files), dtype=np.float32).reshape(len(queries), len(files))
    return ForeignScores(scores, list(queries), list(files), depth, Path("x.csv"))


def test_queries_by_hand():
    found = match_queries(
        [
            relevance("  Été", ["c", "a"], [2.0, 0.5]),
            relevance("A dog barks.", ["b"]),
            relevance("Rain falls", ["a", "nowhere"]),  # two captions
            relevance("A cat", ["a"]),
            relevance("a dog, barks", ["c"]),  # by its words caption 0, which is taken
            relevance("A Dog barks!", ["nowhere"]),
        ],
        CAPTIONS,
        CLIPS,
    )
    assert found.rows.tolist() == [4, 0, 1]
    assert found.query_index.tolist() == [0, 0, 1, 2]
    assert found.item_index.tolist() == [2, 0, 1, 0]
    assert found.gains.tolist() == [2.0, 0.5, 1.0, 1.0]
    assert found.unmatched == ["A cat"]
    assert found.duplicates == ["Rain falls", "a dog, barks"]
    assert found.unknown_files == ["nowhere"]
    assert found.without_clips == ["A Dog barks!"]


def test_exact_text_wins_over_the_same_words():
    (row,) = match_queries([relevance("A Dog barks!", ["a"])], CAPTIONS, CLIPS).rows
    assert row == 2
    found = match_queries([relevance("a DOG barks", ["a"])], CAPTIONS, CLIPS)
    assert found.rows.tolist() == [0]  # captions 0 and 2 have its words; the first one counts
    assert found.duplicates == ["a DOG barks"]


def test_texts_without_words_match_nothing():
    captions = [CAPTIONS[0]._replace(raw_text="!")]
    assert caption_rows(["?", "!"], captions).tolist() == [-1, 0]


def test_a_query_that_stands_twice_counts_once():
    found = match_queries([relevance("Été", ["a"]), relevance("Été", ["b"])], CAPTIONS, CLIPS)
    assert (found.rows.tolist(), found.item_index.tolist(), found.duplicates) == ([4], [0], ["Été"])


def test_two_spellings_of_one_file_are_one_relevant_clip():
    clips = [CLIPS[0]._replace(fname="é.wav")]
    found = match_queries([relevance("Été", ["é.wav", "é.wav "])], CAPTIONS, clips)
    assert found.item_index.tolist() == [0]
    assert found.unknown_files == []


def test_nothing_matches():
    found = match_queries([relevance("A cat", ["a"])], CAPTIONS, CLIPS)
    assert len(found.rows) == len(found.query_index) == len(found.gains) == 0
    assert found.rows.dtype == found.item_index.dtype == np.int64


def test_ten_thousand_queries_against_a_plain_search():
    rng = np.random.default_rng(0)
    texts = [f"sound {n}" for n in rng.permutation(12_000)]
    captions = [Caption(f"t{n}", f"f{n % 3}", "a", text, "", "") for n, text in enumerate(texts)]
    lists = [relevance(f"Sound {n}!", rng.choice(list("abc"), rng.integers(1, 4), False)) for n in range(10_000)]
    found = match_queries(lists, captions, CLIPS)
    row_of = {text: row for row, text in enumerate(texts)}
    assert found.rows.tolist() == [row_of[f"sound {n}"] for n in range(10_000)]
    pairs = [(n, "abc".index(name)) for n, one in enumerate(lists) for name in one.filenames]
    assert list(zip(found.query_index, found.item_index, strict=True)) == pairs


def test_scores_in_the_order_of_the_split():
    aligned = align_scores(foreign(["Été", "rain falls", "t2", "A dog barks.", "cat"], ["c", "x", "f0", "b"]), *SPLIT)
    columns = [2, 3, 0]
    rows = [3, 1, 2, 1, 0]  # captions 1 and 3 share a row
    np.testing.assert_array_equal(aligned.scores, [[4 * row + column for column in columns] for row in rows])
    assert aligned[1:] == (None, [], 1, 1)


SPLIT = (CAPTIONS, CLIPS)


def test_scores_in_order_already_are_not_copied():
    distinct = [caption._replace(raw_text=f"sound {n}") for n, caption in enumerate(CAPTIONS)]
    given = foreign([caption.raw_text for caption in distinct], "abc")
    assert align_scores(given, distinct, CLIPS).scores is given.scores


def test_ids_of_the_data_set_name_captions_and_clips():
    captions = [caption._replace(source_id=f"their-{n}") for n, caption in enumerate(CAPTIONS)]
    clips = [clip._replace(source_id=f"theirs_{n}=") for n, clip in enumerate(CLIPS)]
    given = foreign([f"their-{n}" for n in (3, 0, 1, 4, 2)], ["theirs_2=", "theirs_0=", "theirs_1="])
    aligned = align_scores(given, captions, clips)
    rows, columns = [1, 2, 4, 0, 3], [1, 2, 0]
    np.testing.assert_array_equal(aligned.scores, [[3 * row + column for column in columns] for row in rows])
    with pytest.raises(ArtefactError, match="1 of 5 captions have no row"):  # an empty id is none
        align_scores(foreign(["", "t1", "t2", "t3", "t4"], "abc"), CAPTIONS[:1] + captions[1:], CLIPS)


def test_rows_of_one_text_go_to_its_captions_in_order():
    """The baseline writes a row for every caption, in the order of its table, by the words of the caption alone."""
    captions = [caption._replace(text=f"own words {n // 2}") for n, caption in enumerate(CAPTIONS)]
    given = foreign(["own words 0", "own words 0", "own words 1", "own words 1", "own words 2"], "abc")
    aligned = align_scores(given, captions, CLIPS)
    np.testing.assert_array_equal(aligned.scores, given.scores)
    assert (aligned.duplicate_queries, aligned.surplus_queries) == ([], 0)


def test_of_a_query_that_stands_twice_the_first_row_counts():
    given = foreign(["t0", "t1", "t2", "t3", "t4", "t0", " t4"], "abc")
    aligned = align_scores(given, *SPLIT)
    np.testing.assert_array_equal(aligned.scores, given.scores[:5])
    assert aligned.duplicate_queries == ["t0", "t4"]
    assert aligned.surplus_queries == 0


def test_captions_and_clips_that_are_missing_are_counted_and_named():
    queries = ["t0", "t2", "t4"]
    with pytest.raises(ArtefactError, match=r"x\.csv: 2 of 5 captions have no row, the first is 'Rain falls'"):
        align_scores(foreign(queries, "abc"), *SPLIT)
    assert captions_among(queries, CAPTIONS).tolist() == [0, 2, 4]
    with pytest.raises(ArtefactError, match=r"x\.csv: 2 of 3 clips have no column, the first is 'a'"):
        align_scores(foreign(["t0", "t1", "t2", "t3", "t4"], "b"), *SPLIT)


def test_a_clip_that_a_ranked_list_never_names_scores_below_all():
    best = np.array([[0, 1], [1, 0], [0, 1], [0, 1], [0, 1]])
    aligned = align_scores(foreign(["t0", "t1", "t2", "t3", "t4"], "cb", 2, best), *SPLIT)
    np.testing.assert_array_equal(aligned.scores, [[0, 1, 2], [0, 2, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2]])
    assert aligned.depth == 2


def ranked(rows, queries=("t0", "t1", "t2", "t3", "t4")):
    """What a file of ranked names is read as."""
    files = list(dict.fromkeys(name for row in rows for name in row))
    return foreign(queries, files, len(rows[0]), np.array([[files.index(name) for name in row] for row in rows]))


def test_a_ranked_list_that_names_other_files_is_refused():
    """Dropped, the later names would move up, and clips that nobody named would fill their places."""
    rows = [["a", "b"], ["x", "b"], ["c", "y"], ["x", "c"], ["b", "a"]]
    message = (
        r"x\.csv: names 2 files that are no clips of the split, the first is 'x' of query 't1'; a rank among other "
        "files is not comparable: name clips of the split, as its tables spell them"
    )
    with pytest.raises(ArtefactError, match=message):
        align_scores(ranked(rows), *SPLIT)
    of_others = align_scores(ranked([*rows[:1] * 5, ["x", "y"]], ["t0", "t1", "t2", "t3", "t4", "cat"]), *SPLIT)
    assert (of_others.surplus_queries, of_others.surplus_files) == (1, 0)  # a row that is ignored may name anything


def test_every_ranked_name_keeps_its_place():
    names = [list(np.random.default_rng(n).permutation(["a", "evaluation/b", "f2"])[:2]) for n in range(5)]
    aligned = align_scores(ranked(names), *SPLIT)
    clip_of = {"a": 0, "evaluation/b": 1, "f2": 2}
    assert [np.argsort(-row)[:2].tolist() for row in aligned.scores] == [[clip_of[n] for n in row] for row in names]
    assert (np.sort(aligned.scores, axis=1) == [0, 1, 2]).all()


def test_ranked_names_that_are_too_many_or_one_clip_are_refused():
    with pytest.raises(ArtefactError, match=r"x\.csv: names 4 clips a query, but the split has only 3"):
        align_scores(ranked([list("abcd")] * 5), *SPLIT)
    with pytest.raises(ArtefactError, match="query 't2' names clip 'b' twice, in two spellings; name different clips"):
        align_scores(ranked([["a", "b"], ["b", "c"], ["f1", "b"], ["a", "b"], ["a", "b"]]), *SPLIT)


def test_clips_of_one_file_name_are_told_apart_by_path():
    clips = [clip._replace(fname="x.wav", path=f"{clip.fname}/x.wav") for clip in CLIPS]
    queries = ["t0", "t1", "t2", "t3", "t4"]
    aligned = align_scores(foreign(queries, ["c/x.wav", "b/x.wav", "a/x.wav"]), CAPTIONS, clips)
    np.testing.assert_array_equal(aligned.scores[0], [2, 1, 0])
    with pytest.raises(ArtefactError, match="3 of 3 clips have no column"):
        align_scores(foreign(queries, ["x.wav"]), CAPTIONS, clips)
    found = match_queries([relevance("Été", ["x.wav"])], CAPTIONS, clips)
    assert found.unknown_files == ["x.wav"]
