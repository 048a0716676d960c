"""What is measured with other settings replaces none of the default, and controls are not lost."""

import json

import pytest

from tasks.music.results import Settings
from tests.postprocessing.test_music_recommend import folder_of, results_of, run, trained  # noqa: F401 - fixture
from tests.tasks.music.conftest import _corpus, music  # noqa: F401 - fixtures
from tests.training import write_trial


@pytest.mark.parametrize(
    ("settings", "suffix"),
    [
        (Settings(), ""),
        (Settings("whitened"), "_whitened"),
        (Settings(None, True), "_local_scaling"),
        (Settings("standardised", True), "_standardised_local_scaling"),
    ],
)
def test_suffixes(settings, suffix):
    assert settings.suffix == suffix


def files(trained):  # noqa: F811
    found = [path for path in folder_of(trained).iterdir() if path.is_file()]
    return {path.name: path.read_bytes() for path in found}


def test_other_settings_have_files_of_their_own(trained, capsys):  # noqa: F811
    write_trial(trained.run("logmel", "training.epochs=1", "model.latent_dim=2"), "trial_00001")
    assert run(trained, capsys, "--control-tracks", "1", "--length", "1").code == 0
    before = files(trained)
    done = run(trained, capsys, "--control-tracks", "0", "--length", "1", "--whiten", "--local-scaling")
    assert done.code == 0, done.err
    after = files(trained)
    unchanged = before.keys() - {"test_reconstructions.png"}  # which no setting touches
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    suffix = "_whitened_local_scaling"
    assert after.keys() - before.keys() == {
        f"recommendation_metrics{suffix}.json",
        f"recommendation_metrics{suffix}.csv",
        f"recommendation_trials{suffix}.md",
        f"recommendation_trials{suffix}.csv",
        f"test_map{suffix}.png",
        f"test_recommendations{suffix}.html",
    }
    found = json.loads(after[f"recommendation_metrics{suffix}.json"])
    assert found["settings"] == {"scaling": "whitened", "local_scaling": True}
    assert found["controls"] == {}


def test_controls_of_the_same_checkpoints_stay(trained, capsys):  # noqa: F811
    run(trained, capsys, "--control-tracks", "1", "--length", "1")
    controls = results_of(trained)["controls"]
    assert controls["softer_10db"]["tracks"] == 1
    run(trained, capsys, "--control-tracks", "0", "--length", "1")
    assert results_of(trained)["controls"] == controls
    write_trial(trained.run("logmel", "training.epochs=1", "model.latent_dim=2"), "trial_00001")
    run(trained, capsys, "--control-tracks", "0", "--length", "1")
    assert results_of(trained)["controls"] == {}
