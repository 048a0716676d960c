"""Clips of one kind each: what is in them, how they are written, and that no two of them count as one recording."""

import json

import numpy as np
import pytest
import soundfile

from preprocessing.synthetic_corpus import __main__ as script
from preprocessing.synthetic_corpus import single_kinds
from preprocessing.synthetic_corpus.clips import plan_clip_of, render
from preprocessing.synthetic_corpus.kinds import KINDS, LEVEL_DB, LEVEL_JITTER_DB
from preprocessing.synthetic_corpus.scenes import LONGEST_S, SHORTEST_S
from preprocessing.synthetic_corpus.single_kinds import write_single_kinds
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ
from tests import tiny
from tests.preprocessing.synthetic_corpus.test_writing import contents
from utils.audio_utils.fingerprints import fingerprint, similar_pairs
from utils.cli_utils import UserError, command_line

SIZES = {"bell": 18, "rain": 17, "wind": 2}
CONF = str(tiny.ROOT / "tasks" / "classification.yaml")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus") / "kinds"
    assert write_single_kinds(root, SIZES, seed=0, workers=1)
    return root


def test_each_kind_has_a_folder_of_numbered_clips(corpus):
    assert sorted(path.name for path in corpus.iterdir()) == ["bell", "corpus.json", "rain", "wind"]
    for kind, size in SIZES.items():
        assert sorted(path.name for path in (corpus / kind).iterdir()) == [f"{n:04d}.wav" for n in range(size)]
    wave, rate = soundfile.read(corpus / "rain" / "0016.wav", dtype="float32")
    assert rate == SAMPLE_RATE_HZ
    assert abs(wave - render(plan_clip_of(0, "rain", 16))).max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_holds_one_sound_of_its_kind_as_loud_and_long_as_in_the_corpus(kind):
    plans = [plan_clip_of(0, kind, index) for index in range(30)]
    assert {event.kind for plan in plans for event in plan.scene.events} == {kind}
    assert {len(plan.scene.events) for plan in plans} == {1}
    assert {plan.scene.events[0].loudness for plan in plans} == set(LEVEL_DB)
    assert all(SHORTEST_S <= plan.scene.duration_s <= LONGEST_S for plan in plans)
    assert all(event.end_s < plan.scene.duration_s for plan in plans for event in plan.scene.events)
    for plan in plans:
        (event,) = plan.scene.events
        assert abs(event.level_db - LEVEL_DB[event.loudness]) <= LEVEL_JITTER_DB


def test_seed_kind_and_index_decide_alone():
    clip = render(plan_clip_of(3, "dog", 4))
    assert np.array_equal(clip, render(plan_clip_of(3, "dog", 4)))
    for other in ((4, "dog", 4), (3, "bell", 4), (3, "dog", 5)):
        assert not np.array_equal(clip, render(plan_clip_of(*other)))


def test_workers_and_later_kinds_change_nothing(corpus, tmp_path):
    write_single_kinds(tmp_path / "same", SIZES, seed=0, workers=2)
    assert contents(tmp_path / "same") == contents(corpus)
    write_single_kinds(tmp_path / "more", {"alarm": 1, **SIZES}, seed=0, workers=1)
    more, before = contents(tmp_path / "more"), contents(corpus)
    assert all(more[name] == before[name] for name in before if name.endswith(".wav"))


@pytest.mark.parametrize("stop_at", [0, 17, 36])
def test_interrupted_and_resumed_equals_uninterrupted(corpus, tmp_path, monkeypatch, stop_at):
    root, written, write = tmp_path / "kinds", [], single_kinds.write_clip

    def interrupted(path, plan):
        if len(written) == stop_at:
            path.write_bytes(b"cut short")
            path.with_name(path.name + ".part").write_bytes(b"half a file")
            raise KeyboardInterrupt
        write(path, plan)
        written.append(path)

    monkeypatch.setattr(single_kinds, "write_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_single_kinds(root, SIZES, seed=0, workers=1)
    assert not json.loads((root / "corpus.json").read_text())["complete"]
    monkeypatch.setattr(single_kinds, "write_clip", write)
    assert write_single_kinds(root, SIZES, seed=0, workers=1)
    assert contents(root) == contents(corpus)
    assert not write_single_kinds(root, SIZES, seed=0, workers=1)


def test_folders_of_somebody_else_and_the_captioned_corpus_are_left_alone(tmp_path):
    (tmp_path / "mine" / "dog").mkdir(parents=True)
    (tmp_path / "mine" / "dog" / "0000.wav").write_bytes(b"a dog")
    with pytest.raises(UserError, match=r"not of the corpus synthetic_corpus --single-kind \(such as dog\)"):
        write_single_kinds(tmp_path / "mine", {"dog": 3}, seed=0, workers=1)
    assert (tmp_path / "mine" / "dog" / "0000.wav").read_bytes() == b"a dog"
    (tmp_path / "corpus.json").write_text('{"format": "synthetic_corpus"}')
    with pytest.raises(UserError, match="is not the record of the corpus synthetic_corpus --single-kind; delete"):
        write_single_kinds(tmp_path, {"dog": 3}, seed=0, workers=1)


def test_no_two_clips_are_near_duplicates_and_copies_are():
    """Steady noises of a kind share level, bands and length, and are different sounds all the same."""
    waves = [render(plan_clip_of(0, kind, index)) for kind in KINDS for index in range(6)]
    prints = [fingerprint(wave, SAMPLE_RATE_HZ) for wave in (*waves, 0.3 * waves[0][800:])]
    assert [(pair.first, pair.second) for pair in similar_pairs(prints)] == [(0, len(waves))]


def test_the_command_shares_clips_out_and_names_the_next_one(tmp_path, capsys):
    conf = ["--conf", CONF, "--set", f"data.root={tmp_path / 'kinds'}"]
    command = ["--single-kind", "--clips", "73", "--workers", "1", *conf]
    script.main(command)
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'kinds'}: wrote 73 clips in 24 folders, each named by its kind of sound\n" in printed
    assert f"next: {command_line('preprocessing.youtube_dataset', *conf)}\n" in printed
    sizes = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "kinds").iterdir() if folder.is_dir()}
    assert sizes == {kind: 4 if kind == next(iter(KINDS)) else 3 for kind in KINDS}
    script.main(command)
    assert "73 clips (24 folders of 3 to 4) of seed 0 are there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--single-kind", "--clips", "71", "--conf", CONF], "--clips 71: expected at least 72, 3 of each of 24"),
        (["--conf", CONF], f"{CONF}: task classification is learnt from categories, not captions; add --single-kind"),
        (
            ["--single-kind", "--conf", str(tiny.ROOT / "conf.yaml")],
            f"--single-kind: {tiny.ROOT / 'conf.yaml'}: task is retrieval, this script takes classification; name",
        ),
        (
            ["--conf", str(tiny.ROOT / "tasks" / "music_autoencoder.yaml")],
            "task is music_autoencoder, this script takes retrieval or clap_projection or captioning; name another",
        ),
    ],
)
def test_bad_input_is_one_line(argv, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        script.main([*argv, "--set", f"data.root={tmp_path / 'kinds'}"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "kinds").exists()
