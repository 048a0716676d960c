"""One folder and one CSV, shared out among the splits."""

from collections import Counter

import pytest

from tests.preprocessing.clotho_corpus import SPLITS, Corpus, write_clip, write_csv


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def one_folder(corpus, clips=30):
    """A folder of clips and one CSV, without splits; clip 3 is broken, clip 4 has no caption."""
    for split in SPLITS:
        (corpus.root / split / "ok.wav").unlink()
        (corpus.root / split).rmdir()
    return one_folder_again(corpus, clips)


def one_folder_again(corpus, clips):
    """The same with more clips."""
    rows = [["fname", "raw_text"], ["none.wav", "without a clip"]]
    for number in range(clips):
        write_clip(corpus.root / "clips" / f"{number:02}.wav", seed=number)
        rows += [[f"{number:02}.wav", f"caption {n}"] for n in range(3) if number != 4]
    (corpus.root / "clips" / "03.wav").write_bytes(b"")
    write_csv(corpus.root / "mine.csv", rows)
    return ["--make-splits", "0.8,0.1,0.1", "--audio", "clips", "--captions", "mine.csv"]


def splits_of(corpus):
    return {split: sorted(corpus.clips(split)) for split in SPLITS}


def test_make_splits_shares_out_every_clip_once(corpus):
    arguments = one_folder(corpus)
    assert corpus.run(*arguments) == 0
    made = splits_of(corpus)
    names = [name for split in SPLITS for name in made[split]]
    assert sorted(names) == [f"{n:02}.wav" for n in range(30) if n not in (3, 4)]
    for split in SPLITS:
        by_clip = Counter(c.fname for c in corpus.captions(split))
        assert by_clip == dict.fromkeys(made[split], 3)  # no clip's captions in two splits
    rejected = sorted((kind, name) for split in SPLITS for kind, name, _ in corpus.rejected(split))
    assert rejected == [
        ("caption", "03.wav#10"),
        ("caption", "03.wav#11"),
        ("caption", "03.wav#12"),
        ("caption", "none.wav#0"),
        ("clip", "03.wav"),
        ("clip", "04.wav"),
    ]
    assert sum(map(len, made.values())) == 28  # 29 clips have captions; one of them is broken
    assert len(made["development"]) > max(len(made["validation"]), len(made["evaluation"])) > 0


def test_more_clips_move_no_earlier_one(corpus):
    arguments = one_folder(corpus, clips=40)
    assert corpus.run(*arguments) == 0
    before = splits_of(corpus)
    assert corpus.run(*one_folder_again(corpus, clips=50)) == 0
    after = splits_of(corpus)
    assert all(set(before[split]) <= set(after[split]) for split in SPLITS)
    assert sum(map(len, after.values())) == sum(map(len, before.values())) + 10


def test_an_empty_split_is_reported_with_a_seed_that_fills_it(corpus, capsys):
    arguments = one_folder(corpus, clips=9)
    next(seed for seed in range(50) if corpus.run(*arguments, "--seed", str(seed)) == 2)
    error = capsys.readouterr().err
    assert "none of the 8 clips with captions falls to '" in error
    assert corpus.run(*arguments, *error.split("take another seed: ")[1].split()) == 0
    assert all(splits_of(corpus).values())


def test_a_share_that_no_seed_fills_is_reported(corpus, capsys):
    arguments = one_folder(corpus, clips=9)
    assert corpus.run(*arguments, "--make-splits", "0.9998,0.0001,0.0001") == 2
    assert "falls to 'validation' with --seed 0; add clips, or give it a larger share" in capsys.readouterr().err


def test_make_splits_follows_its_seed(corpus):
    arguments = one_folder(corpus)
    assert corpus.run(*arguments) == 0
    first = splits_of(corpus)
    assert corpus.run(*arguments) == 0
    assert splits_of(corpus) == first
    assert corpus.run(*arguments, "--seed", "1") == 0
    assert splits_of(corpus) != first


def test_make_splits_finds_the_one_csv_in_the_folder_of_the_clips(corpus):
    one_folder(corpus)
    (corpus.root / "mine.csv").rename(corpus.root / "clips" / "mine.csv")
    assert corpus.run("--make-splits", "0.6,0.2,0.2", "--set", f"data.root={corpus.root / 'clips'}") == 0
    assert sum(map(len, splits_of(corpus).values())) == 28
    assert not any(name == "mine.csv" for split in SPLITS for _, name, _ in corpus.rejected(split))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--make-splits", "0.8,0.1"], "--make-splits: found 0.8,0.1, expected three positive shares that sum to 1"),
        (["--make-splits", "0.8,0.3,-0.1"], "--make-splits: found 0.8,0.3,-0.1"),
        (["--make-splits", "a,b,c"], "--make-splits: found a,b,c"),
        (["--make-splits", "0.5,0.1,0.1"], "--make-splits: found 0.5,0.1,0.1"),
        (["--captions", "no.csv"], "found no.csv as the CSV of captions, expected one; name it with --captions"),
        (["--audio", "no"], "--audio: folder"),
        (["--audio", "/"], "--audio: found /, expected a folder in data.root"),
        (["--set", "data.splits.val=development"], "data.splits: --make-splits needs three different splits"),
    ],
)
def test_bad_arguments_of_make_splits(corpus, capsys, arguments, message):
    assert corpus.run(*one_folder(corpus), *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_two_csvs_are_not_guessed_between(corpus, capsys):
    one_folder(corpus)
    write_csv(corpus.root / "other.csv", [["fname", "raw_text"]])
    assert corpus.run("--make-splits", "0.8,0.1,0.1", "--audio", "clips") == 2
    assert "found mine.csv, other.csv as the CSV of captions, expected one" in capsys.readouterr().err
