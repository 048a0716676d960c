"""`music_recommend` on a tiny trained run: what it measures and writes, lists, playlists, and what it refuses."""

import csv
import json

import numpy as np
import pytest

from postprocessing import music_experiments, music_recommend
from tasks.music import compared
from tests.pages import read, targets
from tests.postprocessing.commands import Result, error_of
from tests.tasks.music.conftest import _corpus, music  # noqa: F401 - fixtures
from tests.tasks.music.corpora import SPLITS
from tests.training import write_trial
from utils.artefact_utils import read_catalogue, read_clips, write_audio_info, write_catalogue
from utils.artefact_utils.track_features import TrackFeatureParts
from utils.audio_utils.alteration import write_mp3
from utils.audio_utils.track_features import MFCC

SYSTEMS = ["trial_00000/FrameAutoencoder", "mfcc", "mfcc_standardised", "features", "logmel_pca", "random", "mean"]
SCALINGS = ["cosine", "standardised", "whitened"]
METRICS = [
    f"{label}_{key}"
    for label in ("genre", "artist")
    for key in ("precision@1", "precision@5", "precision@10", "mAP", "nDCG@10")
]


@pytest.fixture
def trained(music):  # noqa: F811
    """A trained run whose hand-crafted features are random, but for those of an artist, which are alike."""
    write_features(music)
    write_trial(music.run("logmel", "training.epochs=1"))
    return music


def write_features(music, label="artist", noise=0.0):  # noqa: F811
    """Write them, alike by a label; with noise that hides it in some of the MFCC, unless they are standardised."""
    rng = np.random.default_rng(0)
    labels = {
        track.fid: getattr(track, label) for track in read_catalogue(music.folder / "features" / "catalogue.csv", "")
    }
    alike = {value: rng.standard_normal(518) for value in sorted(set(labels.values()))}
    for split in SPLITS:
        clips = read_clips(music.folder / "features" / "audio_info.pkl", split, "")
        rows = {c.fid: (alike[labels[c.fid]] + 0.01 * rng.standard_normal(518)).astype(np.float32) for c in clips}
        for row in rows.values():
            row[MFCC][:20] += noise * rng.standard_normal(20)
        parts = TrackFeatureParts(music.folder / "features" / f"{split}_audio_features.hdf5")
        parts.write_part(list(rows), ((fid, iter([row])) for fid, row in rows.items()))
        parts.assemble(list(rows), "command")


def run(trained, capsys, *arguments):
    capsys.readouterr()
    code = 0
    try:
        music_recommend.main(["--conf", trained.conf("logmel"), *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
        if code == 70:  # a fault: pytest shows what caused it
            raise
    return Result(code, *capsys.readouterr())


def folder_of(trained):
    return trained.folder / "runs" / "tiny-logmel"


def results_of(trained):
    return json.loads((folder_of(trained) / "recommendation_metrics.json").read_text())


def test_every_system_is_measured_under_every_filter_and_the_page_opens(trained, capsys):
    done = run(trained, capsys, "--control-tracks", "2", "--length", "3")
    assert done.code == 0, done.err
    found = results_of(trained)
    assert list(found["systems"]) == SYSTEMS
    assert found["chosen"] == SYSTEMS[0]
    for name in SYSTEMS:
        assert list(found["systems"][name]) == ["none", "artist", "album", "version"]
        assert list(found["systems"][name]["none"]) == METRICS
        for metric, interval in found["intervals"][name]["none"].items():
            assert interval["low"] <= found["systems"][name]["none"][metric] <= interval["high"]
    # 8 test tracks of 4 artists: the nearest one of the same artist, of whom nothing is left under the artist filter
    assert found["systems"]["mfcc"]["none"]["artist_precision@1"] == 1
    assert found["systems"]["mfcc"]["none"]["artist_precision@5"] == pytest.approx(0.2)
    assert "artist_precision@1" not in found["systems"]["mfcc"]["artist"]
    assert found["differences"]["none"]["artist_mAP"]["of_baseline"] == 1
    assert found["similarities"]["mfcc"]["same_artist"]["mean"] > 0.99
    assert found["similarities"]["mfcc"]["same_artist"]["pairs"] == 4
    settings = [f"{scaling}{local}" for scaling in SCALINGS for local in ("", ", local scaling")]
    assert list(found["effects"][SYSTEMS[0]]) == settings
    assert {name: shares["tracks"] for name, shares in found["controls"].items()} == {
        "softer_10db": 2,
        "mp3_64kbps": 2,
        "shifted_3s": 0,
    }
    assert found["controls"]["shifted_3s"]["mfcc"] is None
    with (folder_of(trained) / "recommendation_metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    (row,) = [r for r in rows if (r["system"], r["filter"], r["metric"]) == ("mfcc", "none", "artist_precision@5")]
    assert float(row["value"]) == pytest.approx(0.2)
    page = read(folder_of(trained) / "test_recommendations.html")
    cards = page.section("Lists").all("article", "card")
    assert [len(card.all("audio")) for card in cards] == [1 + 3 + 3] * 6  # three of each of the two genres
    assert len(page.section("Metrics").all("table")) == 7
    assert all(target.is_file() for target in targets(folder_of(trained) / "test_recommendations.html"))
    assert (folder_of(trained) / "test_map.png").is_file()
    assert (folder_of(trained) / "test_reconstructions.png").is_file()
    assert all(len(line) <= 100 for line in done.out.splitlines() if line.startswith(("│", "┃")))


def test_several_trials_are_compared_and_one_that_is_broken_is_left_out(trained, capsys):
    write_trial(trained.run("logmel", "training.epochs=1", "model.latent_dim=2"), "trial_00001")
    write_trial(trained.run("logmel", "training.epochs=1", "model.latent_dim=3"), "trial_00002")
    for path in (folder_of(trained) / "trial_00002").glob("checkpoint_*/checkpoint.pt"):
        path.write_bytes(path.read_bytes()[:-10])
    done = run(trained, capsys, "--control-tracks", "0", "--genre", "low")
    assert "trial_00002 is left out: " in done.out
    with (folder_of(trained) / "recommendation_trials.csv").open(newline="") as stream:
        rows = {row["trial"]: row for row in csv.DictReader(stream)}
    assert {name: row["latent"] for name, row in rows.items()} == {
        "trial_00000": "4",
        "trial_00001": "2",
        "trial_00002": "",
        "mfcc": "",
        "mfcc_standardised": "",
    }
    found = results_of(trained)
    assert (
        float(rows["trial_00001"]["genre_mAP"]) == found["systems"]["trial_00001/FrameAutoencoder"]["none"]["genre_mAP"]
    )
    assert float(rows["trial_00001"]["explained"]) < 1
    markdown = (folder_of(trained) / "recommendation_trials.md").read_text()
    assert "FrameAutoencoder" in markdown
    assert found["controls"] == {}
    assert found["made_from"]["epochs"] == {"trial_00000/FrameAutoencoder": 1, "trial_00001/FrameAutoencoder": 1}
    assert "next: all experiments in one table: " in done.out.splitlines()[-1]
    music_experiments.main(["--conf", trained.conf("logmel")])
    with (trained.folder / "runs" / "recommendation_experiments.csv").open(newline="") as stream:
        again = {row["trial"]: row for row in csv.DictReader(stream)}
    shared = ["architecture", "latent", "none: genre_mAP", "album: artist_mAP"]
    for name in ("trial_00000", "trial_00001", "mfcc"):
        assert [again[name][key] for key in shared] == [rows[name][key] for key in shared]


def test_seeds_a_playlist_and_a_filter(trained, capsys):
    out = trained.folder / "mix.m3u8"
    run(trained, capsys, "--seeds", "test-0", "test-4", "--filter", "artist", "--length", "3", "--m3u", str(out))
    names = [line.rpartition("/")[2] for line in out.read_text().splitlines() if not line.startswith("#")]
    assert len(names) == 3
    assert not {"test 0.wav", "test 4.wav"} & set(names)  # the seeds, who are one artist's
    assert not (folder_of(trained) / "recommendation_metrics.json").exists()
    assert not (folder_of(trained) / "test_recommendations.html").exists()  # which has tables
    card = read(folder_of(trained) / "test_lists.html").section("Lists").one("article", "card")
    assert "artist 0 - piece 0 + artist 0 - piece 4" in card.text
    assert "points" in card.text


@pytest.mark.parametrize(("noise", "better"), [(0.0, "mfcc"), (1e4, "mfcc_standardised")])
def test_lists_of_seeds_are_beside_those_of_the_better_baseline(trained, capsys, noise, better):
    write_features(trained, "genre", noise)
    run(trained, capsys, "--seeds", "test-0", "--length", "1")
    systems = read(folder_of(trained) / "test_lists.html").all("p", "quiet")[0].text
    assert f"FrameAutoencoder and {better}, 8 tracks" in systems
    run(trained, capsys, "--control-tracks", "0", "--length", "1")
    assert results_of(trained)["baseline"] == better


def test_a_file_of_the_user_s_finds_itself_and_broken_ones_are_named(trained, capsys, tmp_path):
    (tmp_path / "text.mp3").write_text("not sound")
    write_mp3(tmp_path / "whole.mp3", np.random.default_rng(0).standard_normal(32_000).astype(np.float32), 16_000, 64)
    (tmp_path / "half.mp3").write_bytes((tmp_path / "whole.mp3").read_bytes()[:7000])
    own = trained.folder / "corpus" / "test 3.wav"
    files = [str(tmp_path / "text.mp3"), str(own), str(tmp_path / "half.mp3"), "gone.mp3"]
    done = run(trained, capsys, "--file", *files, "--length", "2", "--local-scaling", "--m3u", str(tmp_path / "a.m3u"))
    assert done.code == 0, done.err
    assert (tmp_path / "a.m3u").read_text().splitlines()[2].endswith("test 3.wav")
    for name in ("text.mp3", "half.mp3", "gone.mp3"):
        assert [name in line for line in done.out.splitlines() if line.startswith("--file")].count(True) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--query", "none-such"],
            "--query 'none-such': the catalogue has no such track id; 'test' has 8, such as test",
        ),
        (["--seeds", "test-0", "training-3"], "--seeds 'training-3': the track is of split 'training'"),
        (["--genre", "Folk"], "--genre 'Folk': no track of the split has it; choices: high, low"),
        (["--query", "test-0", "--seeds", "test-1"], "--query and --seeds: each says whose lists are made"),
        (["--whiten", "--standardise"], "--standardise and --whiten: each says how embeddings are scaled"),
        (["--file", "{folder}/text.mp3"], "text.mp3: "),
        (["--file", "{folder}/half.mp3"], "half.mp3: "),
        (["--file", "{folder}"], ": is a folder; name files in it"),
        (["--file", "my.mp3", "--filter", "album"], "--filter album with --file: which tracks share a file's artist, "),
        (["--file", "nowhere.mp3"], "--file nowhere.mp3: there is no such file; correct the path"),
        (["--set", "experiment=other"], "does not exist; train first: "),
        (["--genre", ""], "--genre '': no track of the split has it; choices: high, low"),
        (["--query", "test-0", "--m3u", "{folder}/text.mp3"], "text.mp3: is a file of another program"),
        (["--seeds", "test-0", "--m3u", "{folder}"], ": is a folder, which is never replaced; write to another place"),
        (["--m3u", "{folder}/gone/a.m3u"], "gone does not exist; correct it, or make the folder"),
        (["--m3u", "{folder}/text.mp3/a.m3u"], "text.mp3 is a file; correct it, or make the folder"),
    ],
)
def test_what_is_refused_before_tracks_are_embedded(trained, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.delattr(compared, "autoencoder_vectors")
    (tmp_path / "text.mp3").write_text("not sound")
    write_mp3(tmp_path / "half.mp3", np.random.default_rng(0).standard_normal(32_000).astype(np.float32), 16_000, 64)
    (tmp_path / "half.mp3").write_bytes((tmp_path / "half.mp3").read_bytes()[:7000])
    done = run(trained, capsys, *(argument.format(folder=tmp_path) for argument in arguments))
    assert message in error_of(done)


def test_missing_features_name_their_command(trained, capsys, monkeypatch):
    monkeypatch.delattr(compared, "autoencoder_vectors")
    (trained.folder / "features" / "test_audio_features.hdf5").unlink()
    assert "python -m preprocessing.audio_features --conf" in error_of(run(trained, capsys))


@pytest.mark.parametrize("count", [2, 3])
def test_three_tracks_are_enough_and_two_are_not(trained, capsys, count):
    features = trained.folder / "features"
    clips = {split: read_clips(features / "audio_info.pkl", split, "") for split in SPLITS}
    write_audio_info(features / "audio_info.pkl", clips | {"test": clips["test"][:count]}, {})
    done = run(trained, capsys, "--control-tracks", "0")
    if count == 2:
        assert "split 'test': 2 of 8 tracks have an embedding of every system, expected at least 3; " in error_of(done)
    else:
        assert done.code == 0, done.err
        assert results_of(trained)["tracks"] == 3


def test_a_split_of_two_tracks_is_refused(trained, capsys):
    features = trained.folder / "features"
    clips = {split: read_clips(features / "audio_info.pkl", split, "") for split in SPLITS}
    write_audio_info(features / "audio_info.pkl", clips | {"test": clips["test"][:2]}, {})
    left = {clip.fid for split in SPLITS for clip in clips[split][: 2 if split == "test" else None]}
    path = features / "catalogue.csv"
    write_catalogue(path, [track for track in read_catalogue(path, "") if track.fid in left])
    done = run(trained, capsys, "--control-tracks", "0")
    assert "split 'test': has 2 tracks, expected at least 3; add tracks, or name a larger --split, " in error_of(done)
    assert "python -m preprocessing.fma_dataset" in done.err


def test_tracks_without_a_genre_are_measured_by_artist_alone(trained, capsys):
    path = trained.folder / "features" / "catalogue.csv"
    write_catalogue(path, [track._replace(genre="", genres=()) for track in read_catalogue(path, "")])
    done = run(trained, capsys, "--control-tracks", "0", "--length", "2")
    assert done.code == 0, done.err
    assert list(results_of(trained)["systems"]["mfcc"]["none"]) == METRICS[5:]
    assert "2 tracks, 1 of the same artist" in done.out


def test_tracks_without_labels_have_lists_and_controls(trained, capsys):
    path = trained.folder / "features" / "catalogue.csv"
    bare = {"genre": "", "genres": (), "artist": "", "album": "", "title": ""}
    write_catalogue(path, [track._replace(**bare) for track in read_catalogue(path, "")])
    done = run(trained, capsys, "--control-tracks", "2", "--length", "2")
    assert done.code == 0, done.err
    found = results_of(trained)
    assert found["systems"]["mfcc"]["none"] == {}
    assert found["controls"]["softer_10db"]["tracks"] == 2
    assert len(read(folder_of(trained) / "test_recommendations.html").section("Lists").all("article", "card")) == 5
    music_experiments.main(["--conf", trained.conf("logmel")])
    assert "FrameAutoencoder" in (trained.folder / "runs" / "recommendation_experiments.md").read_text()
