"""The searches in other words: the list is really of other words, and what is printed is what was found."""

import csv
import re
from collections import Counter

import pytest

from benchmarks import unseen_queries
from benchmarks.unseen_queries import QUERIES, check_unseen, stem, words_of
from preprocessing.synthetic_corpus.clips import plan_clip
from preprocessing.synthetic_corpus.kinds import KINDS
from tests.postprocessing.commands import error_of, run
from tests.tiny import ROOT, SPLITS
from tests.training import run_of, write_trial
from utils.cli_utils import UserError


def test_there_is_one_query_for_each_kind():
    assert Counter(kind for kind, _ in QUERIES) == Counter(list(KINDS))


def test_no_caption_of_the_corpus_uses_a_word_of_a_query_or_of_the_searches_of_make_demo():
    captions = [caption for number in range(1000) for caption in plan_clip(0, 0, number).captions]
    check_unseen([text for _, text in QUERIES], captions)
    demo = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].partition("xmodal_retrieval")[0]
    searches = re.findall(r'^\t\t"([^"]+)"', demo, flags=re.MULTILINE)
    assert len(searches) == 3
    check_unseen(searches, captions)
    for kind in KINDS:  # the check itself: the name of a kind is a word of the corpus
        with pytest.raises(UserError, match=f"^'a {kind}': captions use {kind}; say it in other words$"):
            check_unseen([f"a {kind}"], captions)


@pytest.mark.parametrize("words", ["clap claps clapped clapping", "dog dogs", "wave waves waving", "bus buses"])
def test_forms_of_a_word_are_one_word(words):
    assert len({stem(word) for word in words_of(words)}) == 1
    assert words_of("A dog's bark, twice!") == ["a", "dog", "bark", "twice"]


@pytest.fixture
def trained(prepared):
    """A trained trial on tones whose kinds are known: every clip is a bell, and the first is a horn too."""
    write_trial(run_of(prepared))
    with (prepared / "corpus" / "evaluation_events.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file_name", "kind", "start_s", "end_s", "count"])
        for number in range(SPLITS["evaluation"]):
            writer.writerow([f"evaluation {number}.wav", "bell", 0, 1, 1])
        writer.writerow(["evaluation 0.wav", "horn", 0, 1, 1])
    return prepared


def write_queries(folder, *rows):
    path = folder / "queries.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["kind", "query"], *rows])
    return str(path)


def test_precision_is_the_share_of_clips_of_the_kind(trained, capsys):
    queries = write_queries(trained, ["bell", "a gong"], ["horn", "a klaxon"])
    out = run(unseen_queries.main, capsys, trained, "--queries", queries).out
    shares = re.findall(r"│ (\w+) +│ .*? │ +(yes|no) │ +(\d\.\d) │", out)
    # four clips in all, every one a bell, one of them a horn
    assert [(kind, share) for kind, _, share in shares] == [("bell", "1.0"), ("horn", "0.2")]
    assert shares[0][1] == "yes"
    first = 1 + (shares[1][1] == "yes")
    assert f"precision@5 0.625 on average, first hit right for {first} of 2" in out


def test_a_list_may_use_any_words_where_that_is_said(trained, capsys):
    known = write_queries(trained, ["bell", "a dog barking"])
    out = run(unseen_queries.main, capsys, trained, "--queries", known, "--any-words").out
    assert "1 queries in any words, 4 clips of 'evaluation'" in out
    assert "precision@5 1.000 on average, first hit right for 1 of 1" in out


def test_the_everyday_list_has_one_query_for_each_kind():
    queries = unseen_queries.read_queries(ROOT / "benchmarks" / "everyday_queries.csv")
    assert Counter(kind for kind, _ in queries) == Counter(list(KINDS))


def test_bad_lists_end_in_one_line(trained, capsys):
    known = write_queries(trained, ["bell", "a dog barking"])
    assert "'a dog barking': captions use dog, barking" in error_of(
        run(unseen_queries.main, capsys, trained, "--queries", known)
    )
    unknown = write_queries(trained, ["harp", "strings"])
    assert "'strings': no clip holds 'harp'; kinds: bell, horn" in error_of(
        run(unseen_queries.main, capsys, trained, "--queries", unknown)
    )
    empty = write_queries(trained)
    assert "no row; expected a kind and a query in each" in error_of(
        run(unseen_queries.main, capsys, trained, "--queries", empty)
    )


def test_another_corpus_has_no_kinds(trained, capsys):
    (trained / "corpus" / "evaluation_events.csv").unlink()
    queries = write_queries(trained, ["bell", "a gong"])
    error = error_of(run(unseen_queries.main, capsys, trained, "--queries", queries))
    assert "evaluation_events.csv: no such file; only the embedded corpus says which kinds" in error
