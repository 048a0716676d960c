import pytest

from utils.metric_utils.captions.tokens import check_captions, words_of


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog barks.", ["a", "dog", "barks"]),
        ("Rain falls; wind -- far away -- blows...", ["rain", "falls", "wind", "far", "away", "blows"]),
        ("black-and-white", ["black-and-white"]),
        ("a - b -c d-", ["a", "b", "c", "d"]),
        ("the dog's bowl isn't full", ["the", "dog", "'s", "bowl", "is", "n't", "full"]),
        ("the dog’s bowl isn’t full", ["the", "dog", "'s", "bowl", "is", "n't", "full"]),
        ("they're I'll we've I'm he'd", ["they", "'re", "i", "'ll", "we", "'ve", "i", "'m", "he", "'d"]),
        ("'hello' \"there\" “you” `all`", ["hello", "there", "you", "all"]),
        ("five o'clock, dogs' bowls", ["five", "o'clock", "dogs", "bowls"]),
        ("3.5 kg, 10,000 birds at 12:30.", ["3.5", "kg", "10,000", "birds", "at", "12:30"]),
        ("$5 and 50%", ["$", "5", "and", "50", "%"]),
        ("(a man [speaks]) {twice}", ["a", "man", "speaks", "twice"]),
        ("8 a.m.", ["8", "a", "m"]),
        ("barks.Then", ["barks", "then"]),
        ("cafe\u0301", ["café"]),
        ("कुत्ता भौंकता है।", ["कुत्ता", "भौंकता", "है"]),
        ("Собака лает, ГРОМКО!", ["собака", "лает", "громко"]),
        ("狗叫。", ["狗叫"]),
        ("a 🐕 barks", ["a", "🐕", "barks"]),
        (" \t\n", []),
        ("...", []),
        ("", []),
    ],
)
def test_words(caption, words):
    assert words_of(caption) == words


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [], "no clips"),
        (["a"], [["a"], ["b"]], "1 hypotheses, references of 2 clips"),
        (["a", "b"], [["a"], []], "clip 1 has no references; expected at least one"),
        (["a"], ["a dog"], "the references of clip 0 are one text; expected a list of texts"),
        (["a"], [["a", " . "]], "clip 0 has a reference without a word: ' . '"),
    ],
)
def test_bad_captions(hypotheses, references, message):
    with pytest.raises(ValueError, match=message):
        check_captions(hypotheses, references)
