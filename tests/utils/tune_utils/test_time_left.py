import pytest

from utils.tune_utils.time_left import TimeLeft, in_words, makespan


@pytest.mark.parametrize(
    ("running", "waiting", "seconds"),
    [
        ([30.0], [], 30),
        ([30.0, 10.0], [], 30),
        ([30.0, 10.0], [5.0], 30),  # takes the place of the shorter one, and ends at 15
        ([30.0, 10.0], [25.0], 35),
        ([10.0, 10.0], [10.0, 10.0, 10.0], 30),
        ([], [10.0, 5.0], 15),
    ],
)
def test_when_the_last_job_ends(running, waiting, seconds):
    assert makespan(running, waiting) == seconds


def test_a_search_of_two_at_a_time():
    left = TimeLeft({"a": 4, "b": 4, "c": 4})
    left.start("a")
    left.start("b")
    assert left.seconds() is None
    left.report("a", 10.0)
    assert left.seconds() == 30 + 40  # a is done first, then c starts; b, not timed yet, is taken to be as fast
    left.report("b", 30.0)
    assert left.seconds() == 30 + 4 * 20  # c: epochs as long as the mean; b ends after 90
    left.end("b")  # stopped early
    left.start("c")
    assert left.seconds() == 80
    left.report("c", 10.0)
    left.report("c", 10.0)
    assert left.seconds() == 30
    for _ in range(3):
        left.report("a", 10.0)
    left.end("a")
    assert left.seconds() == 20
    left.end("c")
    assert left.seconds() == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min"), (150, "2 min"), (3570, "1 h 0 min"), (7800, "2 h 10 min")],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
