import argparse
import re
import shutil

import h5py
import numpy as np
import pytest

from tasks import Commands, RunSpec, check_run, experiment_of, load_run, parse_run
from tasks.runs import check_search
from tests.training import run_of
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import to_mapping


def test_a_run_survives_its_mapping(prepared):
    run = run_of(prepared, "search={optimizer.lr: {loguniform: [1.0e-5, 1.0e-2]}}", "training.extra_passes=[eval]")
    assert parse_run(to_mapping(run), "params.json") == run


def test_the_folder_of_a_run(prepared):
    assert run_of(prepared).folder == prepared / "runs" / "tiny"


@pytest.mark.parametrize("key", ["output_root", "data.root", "data.features"])
@pytest.mark.parametrize("address", ["s3://bucket/runs", "gs://b", "file:///tmp/x", "hdfs://n:1/x"])
def test_an_address_is_no_folder(address, key, prepared):
    with pytest.raises(ConfigError, match=rf"{key}: expected a path on this machine or a shared disk, found an addr"):
        run_of(prepared, f"{key}={address}")


def test_load_run_takes_settings_and_repeats_them_in_commands(prepared):
    conf = str(prepared / "conf.yaml")
    run, args = load_run(["--conf", conf, "--set", "training.seed=7", "--top", "3"], top_parser(), RunSpec)
    assert (run.training.seed, args.top) == (7, "3")
    commands = Commands.of(args, run.script_of)
    assert commands.line("main.py").endswith(f" main.py --conf {conf} --set training.seed=7")


def top_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--top")
    return parser


def test_other_tasks_are_refused(prepared):
    with pytest.raises(ConfigError, match=r"conf\.yaml: 1 bad key\s+task: unknown name 'cooking'; choices: .*'clap"):
        run_of(prepared, "task=cooking")


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("training.select_on=loss", "training.select_on: unknown metric; choices: mAP@10"),
        ("training.early_stop_watch=loss", "training.early_stop_watch: unknown metric; choices: mAP@10"),
        (
            "lr_scheduler={name: ReduceLROnPlateau, watch: loss}",
            "lr_scheduler.watch: unknown metric 'loss'; choices: mAP",
        ),
        ("ray.stopper={watch: loss}", "ray.stopper.watch: unknown metric 'loss'; choices: mAP@10"),
    ],
)
def test_a_metric_to_watch_must_be_one_of_the_task(setting, key, prepared):
    with pytest.raises(ConfigError, match=re.escape(key)):
        run_of(prepared, setting)
    run_of(prepared, setting.replace("loss", "val_loss"))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("{optimizer.rate: {grid: [1]}}", r"search\.optimizer\.rate = 1: 1 bad key\s+optimizer\.rate: unknown key"),
        ("{optimiser.lr: {grid: [1]}}", r"search\.optimiser\.lr = 1: .*\s+optimiser: unknown key; did you mean 'opt"),
        ("{optimizer.lr.x: {grid: [1]}}", r"optimizer\.lr\.x: 'optimizer\.lr' holds the value 0\.001, not a section"),
        (
            "{training.batch_size: {choice: [8, 0]}}",
            r"search\.training\.batch_size = 0: .*\s+training\.batch_size: .*greater than or equal to 1 \(got 0\)",
        ),
        ("{optimizer.lr: {uniform: [0, 1]}}", r"search\.optimizer\.lr = 0\.0: .*\s+optimizer\.lr: .*greater than 0"),
        ("{optimizer.lr: {loguniform: [1, 100]}}", r"search\.optimizer\.lr = 100\.0: .*\s+.*less than or equal to 10"),
        ("{model.out_dim: {uniform: [1, 3]}}", r"search\.model\.out_dim = 1\.7\d+: .*\s+.*integer"),
        ("{model.out_dim: {quniform: [1, 3, 0.5]}}", r"search\.model\.out_dim = 1\.5: .*\s+.*integer"),
        ("{model.out_dim: {randint: [0, 4]}}", r"search\.model\.out_dim = 0: .*\s+.*greater than 0"),
        ("{model.text_encoder.name: {choice: [BERT]}}", r"search\.model\.text_encoder\.name = BERT: .*\s+.*BERT"),
        ("{experiment: {grid: [a, b]}}", r"search\.experiment: all trials of an experiment share this key"),
        ("{ray.num_samples: {grid: [1]}}", r"search\.ray\.num_samples: all trials of an experiment share"),
        ("{training.select_on: {grid: [R@1]}}", r"search\.training\.select_on: all trials of an experiment share"),
    ],
)
def test_a_bad_search_is_refused_before_anything_starts(search, message, prepared):
    run = run_of(prepared, f"search={search}")
    with pytest.raises(ConfigError, match=message):
        check_search(run)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["ray.workers_per_trial=5"],
            "size: 4 items cannot be shared out to ray.workers_per_trial: 5 ranks; raise",
        ),
        (["ray.workers_per_trial=2", "training.accumulate=3"], "2 ranks, each in training.accumulate: 3 parts; raise"),
        (["training.accumulate=5"], "size: 4 items cannot be cut in training.accumulate: 5 parts; raise the one"),
        (["ray.address=ray://127.0.0.1:10001"], "ray.address: expected HOST:PORT as `ray start --head` prints it, a"),
        (["ray.address=6399"], "ray.address: expected HOST:PORT as `ray start --head` prints it, auto, or null (got 6"),
        (["ray.search_alg=optuna", "search={optimizer.lr: {grid: [1]}}"], "search.optimizer.lr: a grid, which ray.sea"),
    ],
)
def test_keys_of_ray_that_do_not_fit_the_rest_are_refused(settings, message, prepared):
    with pytest.raises(ConfigError, match=re.escape(message)):
        run_of(prepared, *settings)


def test_a_batch_that_is_searched_must_be_large_enough_for_the_ranks(prepared):
    run = run_of(prepared, "ray.workers_per_trial=3", "search={training.batch_size: {choice: [4, 2]}}")
    with pytest.raises(ConfigError, match=r"search\.training\.batch_size = 2: .*\s+.*2 items cannot be shared out to"):
        check_search(run)


def test_what_trials_read_is_known_for_the_nodes_of_a_cluster(prepared):
    """Not data.root: these trials read the log-mels alone."""
    run = run_of(prepared)
    assert experiment_of(run, run.build()).paths == [run.data.features, prepared / "encoder"]


def test_a_good_search_is_accepted(prepared):
    search = (
        "{model.out_dim: {qrandint: [8, 64, 8]}, optimizer.lr: {loguniform: [1.0e-5, 10]}, "
        "training.batch_size: {randint: [1, 65537]}, model.out_norm: {choice: [L2, none]}, "
        "optimizer: {choice: [{name: SGD, lr: 0.1}, {name: Adam}]}}"
    )
    run = run_of(prepared, f"search={search}")
    check_search(run)
    assert experiment_of(run, run.build()).distributions == run.search


def test_check_run_prints_sizes(prepared, capsys):
    check_run(run_of(prepared), thorough=True)
    out = capsys.readouterr().out
    assert "retrieval: 0.01 M parameters" in out
    assert "ray.gpus_per_trial: auto is 0 on this machine" in out  # training.device is cpu
    for split, clips, captions in (("development", 8, 16), ("validation", 4, 8), ("evaluation", 4, 8)):
        assert re.search(rf"{split} +│ +{clips} +│ +{captions} +│", out)
    assert not (prepared / "runs").exists()


def test_evaluation_is_checked_only_when_asked_for(prepared):
    (prepared / "features" / "evaluation_text.csv").unlink()
    check_run(run_of(prepared), thorough=False)
    with pytest.raises(ArtefactError, match=r"evaluation_text\.csv: no such file; write it: <make tables>"):
        check_run(run_of(prepared), thorough=True)


def test_nan_in_a_feature_is_found(prepared):
    path = prepared / "features" / "evaluation_audio_logmels.hdf5"
    with h5py.File(path, "r+") as file:
        fid = sorted(file)[1]
        file[fid][2, 5] = np.nan
    with pytest.raises(ArtefactError, match=rf"evaluation_audio_logmels\.hdf5: the features of clip {fid} \(.*NaN"):
        check_run(run_of(prepared), thorough=True)


def test_features_of_another_front_end_are_refused(prepared):
    with pytest.raises(ArtefactError) as caught:
        check_run(run_of(prepared, "data.front_end={name: panns}"), thorough=False)
    assert "development_audio_logmels.hdf5: front-end is" in str(caught.value)
    assert "sample_rate_hz 32000" in str(caught.value)
    assert "write it again: <make log-mels>" in str(caught.value)


def test_captions_of_another_text_model_are_refused(prepared):
    with pytest.raises(ArtefactError, match=r"sbert_embeds\.pkl: text model is .*, this run wants package:x; write it"):
        check_run(run_of(prepared, "data.text_embeddings.model='package:x'"), thorough=False)


def test_a_missing_features_folder_is_named(prepared):
    shutil.rmtree(prepared / "features")
    with pytest.raises(ArtefactError, match=r"features/development_text\.csv: no such file; write it: <make tables>"):
        check_run(run_of(prepared), thorough=False)
