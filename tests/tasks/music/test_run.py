"""What a run on music refuses, in one line each, and the order of its scripts."""

import json

import pytest
import yaml

from tasks import check_run, experiment_of, parse_run
from tasks.music.run import MusicRun
from tasks.runs import check_search
from tests import tiny
from tests.tasks.music import corpora
from tests.training import fit_of
from utils.artefact_utils import Clip, read_catalogue, read_clips, write_audio_info, write_catalogue
from utils.cli_utils import ArtefactError, ConfigError
from utils.tune_utils.draws import settings_of

YAML = tiny.ROOT / "tasks" / "music_autoencoder.yaml"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.name=Autoencoder", r"model\.name: unknown name 'Autoencoder'; choices: .*'MLPAutoencoder'"),
        ("model.chanels=3", r"model\.chanels: unknown key"),
        (
            "training.select_on=accuracy",
            r"training\.select_on: unknown metric; choices: val_mse, explained_variance, ge",
        ),
        ("data.splits.val=../x", r"data\.splits\.val"),
    ],
)
def test_bad_keys_are_named(music, setting, message):
    with pytest.raises(ConfigError, match=message):
        music.run("logmel", setting)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("features", ["model.latent_dim=519"], r"model\.latent_dim: 519 is above the 518 numbers of a feature vector"),
        ("logmel", ["model.latent_dim=257"], r"model\.latent_dim: 257 is above the 256 numbers of a step \(4 x 64\)"),
        ("wave", ["model.latent_dim=65"], r"model\.latent_dim: 65 is above the 64 numbers of a step \(64 x 1\)"),
    ],
)
def test_a_code_larger_than_the_input_is_refused(music, kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        music.run(kind, *settings).build()


@pytest.mark.parametrize("kind", ["features", "logmel"])
def test_missing_features_are_named_with_their_script(music, kind):
    run = music.run(kind)
    path = run.data.track_features("training") if kind == "features" else run.data.logmels("training")
    path.unlink()
    product = "track-features" if kind == "features" else "log-mels"
    with pytest.raises(ArtefactError, match=rf"training_audio_{path.stem[15:]}.*<make {product}"):
        run.build()


def test_another_front_end_is_refused(music):
    with pytest.raises(ArtefactError, match=r"training_audio_logmels\.hdf5: .*<make log-mels"):
        music.run("logmel", "data.front_end={name: panns}").build()


def test_a_catalogue_of_other_tracks_is_refused(music):
    data = music.run("wave").data
    write_catalogue(data.catalogue, read_catalogue(data.catalogue, "")[1:])
    with pytest.raises(
        ArtefactError, match=r"catalogue\.csv: has no track training-0 \(training 0\.wav\), which .*<make"
    ):
        music.run("wave").build()


@pytest.mark.parametrize("label", ["genre", "artist"])
def test_a_run_is_not_chosen_by_what_cannot_be_measured(music, label):
    data = music.run("wave").data
    rows = read_catalogue(data.catalogue, "")
    write_catalogue(data.catalogue, [row._replace(**{label: ""}) for row in rows])
    with pytest.raises(ConfigError) as error:
        check_run(music.run("wave", f"training.select_on={label}_mAP"), thorough=False)
    assert f"training.select_on: {label}_mAP needs two tracks of one {label} in 'validation'" in str(error.value)
    check_run(music.run("wave", "training.select_on=val_mse"), thorough=False)


def test_a_resumed_run_needs_the_same_labels(music):
    before = music.run("wave").build().data("val").digest()
    data = music.run("wave").data
    rows = read_catalogue(data.catalogue, "")
    write_catalogue(data.catalogue, [row._replace(genre="other") for row in rows])
    assert music.run("wave").build().data("val").digest() != before


def test_a_track_that_is_gone_is_named(music):
    data = music.run("wave").data
    clips = {split: read_clips(data.audio_info, split, "") for split in data.splits.names()}
    gone = Clip(*clips["training"][0])._replace(path="gone.wav")
    write_audio_info(data.audio_info, clips | {"training": [gone, *clips["training"][1:]]}, {})
    with pytest.raises(ArtefactError, match=r"gone\.wav: .*<make tables>"):
        fit_of(music.run("wave")).train_epoch()


def test_a_check_reads_all_splits(music, capsys):
    check_run(music.run("wave"), thorough=True)
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("artists", "genres", "hours", "test"))


def test_a_search_goes_over_all_autoencoders(music):
    models = [{**corpora.MODELS[kind]} for kind in corpora.MODELS]
    check_search(music.run("logmel", f"search={{model: {{grid: {models}}}}}"))
    check_search(music.run("logmel", "search={model.name: {grid: [MLPAutoencoder, WaveAutoencoder]}}"))


def test_each_autoencoder_of_a_search_has_its_own_defaults(music):
    """`strides` of frames are not those of samples; what the YAML sets is for all."""
    model = {"name": "FrameAutoencoder", "latent_dim": 3}
    search = {"model.name": {"grid": ["FrameAutoencoder", "WaveAutoencoder"]}}
    run = music.run("logmel", f"model={json.dumps(model)}", f"search={json.dumps(search)}")
    experiment = experiment_of(run, run.build())
    for name, strides in {"FrameAutoencoder": (2, 2), "WaveAutoencoder": (8, 8, 4, 4)}.items():
        trial = parse_run(settings_of(experiment, {"model.name": name}), "params.json").model
        assert (trial.name, trial.latent_dim, trial.strides) == (name, 3, strides)
    assert music.run("logmel", "model.name=MLPAutoencoder").model.latent_dim == 4


def test_the_scripts_in_their_order():
    run = parse_run(yaml.safe_load(YAML.read_text()), str(YAML))
    found = ["preprocessing.synthetic_music"]
    while found[-1] != "main.py":
        found.append(run.next_script(found[-1]))
    names = ["synthetic_music", "fma_dataset", "audio_logmel", "audio_features"]
    assert found == [*(f"preprocessing.{name}" for name in names), "main.py"]
    assert run.next_script("preprocessing.audio_embeddings") == "main.py"
    assert run.next_script("main.py") == "postprocessing.music_recommend"


def test_the_yaml_and_its_commented_blocks_are_runs():
    settings = yaml.safe_load(YAML.read_text())
    run = parse_run(settings, str(YAML))
    assert isinstance(run, MusicRun)
    assert run.experiment == "demo-music"
    check_search(run)
    blocks = [block for block in YAML.read_text().split("\n#\n") if block.startswith("# experiment")]
    assert len(blocks) == 2
    for block in blocks:
        own = yaml.safe_load("\n".join(line.removeprefix("# ") for line in block.splitlines()))
        other = parse_run(settings | own, str(YAML))
        check_search(other)
        assert other.data.features != run.data.features
