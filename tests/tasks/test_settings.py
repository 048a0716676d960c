"""Settings that can be named go through all three stages; random ones come back from params.json as they were."""

import itertools
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, assume, given, settings

from postprocessing import export, xmodal_retrieval, xmodal_scores
from preprocessing import audio_logmel
from tasks import parse_run
from tasks.base import RunSpec
from tasks.retrieval.clap_projection import ClapProjectionRun
from tasks.retrieval.retrieval import RetrievalRun
from tests import tiny
from tests.random_settings import settings_of
from tests.training import run_of, write_trial
from utils.artefact_utils import write_json
from utils.audio_utils import FrontEnd
from utils.cli_utils import ConfigError
from utils.config_utils import read_settings, to_mapping
from utils.model_utils import LRSchedulerSpec, OptimizerSpec, read_checkpoint

CUSTOM = FrontEnd.model_validate({"name": "dcase2023"}).model_dump() | {
    "name": "custom",
    "sample_rate_hz": 16_000,
    "fmax_hz": 8000.0,
    "offset": 1e-10,
}
FRONT_ENDS = {"dcase2023": {"name": "dcase2023"}, "panns": {"name": "panns"}, "custom": CUSTOM}


def names_of(choices: Any) -> list[str]:
    """The `name:` of each Spec of a union."""
    if get_origin(choices) is Annotated:
        choices = get_args(choices)[0]
    assert get_origin(choices) in (Union, type(int | str))
    return [get_args(spec.model_fields["name"].annotation)[0] for spec in get_args(choices)]


# Numbers as people and JSON spell them, which YAML 1.1 takes for texts.
OPTIMIZERS = {
    "Adam": "{name: Adam, lr: 1e-5, betas: [0.5, 1e-3], weight_decay: 1e-10}",
    "AdamW": "{name: AdamW, lr: 1e-05, weight_decay: 1e-7}",
    "SGD": "{name: SGD, lr: 1e-4, momentum: 1e-9}",
}
SCHEDULES = {
    "ReduceLROnPlateau": "{name: ReduceLROnPlateau, factor: 1e-1, patience: 1, threshold: 1e-5, min_lr: 1e-12}",
    "WarmupCosine": "{name: WarmupCosine, warmup_epochs: 1}",
    "none": "{name: none}",
}


def test_all_names_are_tried():
    assert list(get_args(FrontEnd.model_fields["name"].annotation)) == list(FRONT_ENDS)
    assert names_of(OptimizerSpec) == list(OPTIMIZERS)
    assert names_of(LRSchedulerSpec) == list(SCHEDULES)


@pytest.mark.parametrize(
    ("front_end", "optimizer", "schedule"),
    # each name at least once, with another neighbour in each line
    list(
        itertools.islice(
            zip(itertools.cycle(FRONT_ENDS), itertools.cycle(OPTIMIZERS), itertools.cycle(SCHEDULES), strict=False),
            max(len(FRONT_ENDS), len(OPTIMIZERS), len(SCHEDULES)),
        )
    ),
)
def test_a_named_choice_is_trained_scored_and_exported(front_end, optimizer, schedule, prepared):
    mapping = tiny.conf(prepared)
    mapping["data"]["front_end"] = FRONT_ENDS[front_end]
    mapping["training"]["epochs"] = 1
    conf = ["--conf", str(tiny.write_conf(prepared, mapping))]
    for path in (prepared / "features").glob("*_audio_logmels.hdf5"):  # of the default front-end
        path.unlink()
    audio_logmel.main([*conf, "--workers", "1"])
    run = run_of(prepared, f"optimizer={OPTIMIZERS[optimizer]}", f"lr_scheduler={SCHEDULES[schedule]}")
    trial = write_trial(run)
    assert parse_run(read_settings(trial / "params.json"), "params.json") == run
    xmodal_scores.main(conf)
    xmodal_retrieval.main(conf)
    export.main(conf)
    assert read_settings(trial / "params.json")["data"]["front_end"]["name"] == front_end
    state = read_checkpoint(trial / "checkpoint_000000")
    assert (state["config"]["optimizer"]["name"], state["config"]["lr_scheduler"]["name"]) == (optimizer, schedule)
    written = read_settings(prepared / "runs" / "tiny" / "audio_encoder.json")
    wanted = FrontEnd.model_validate(FRONT_ENDS[front_end]).model_dump()
    assert {key: written["front_end"][key] for key in wanted} == wanted


RANDOM = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@pytest.mark.parametrize("spec", [RetrievalRun, ClapProjectionRun])
def test_random_settings_come_back_from_a_file(spec, tmp_path):
    tried = []

    @RANDOM
    @given(settings_of(spec))
    def check(mapping):
        try:
            run = parse_run(mapping, "random")
        except ConfigError:  # keys that do not go together
            assume(False)
        path = tmp_path / "params.json"
        write_json(path, to_mapping(run))
        assert parse_run(read_settings(path), str(path)) == run
        tried.append(run)

    check()
    assert len({repr(run) for run in tried}) > 30
    assert all(isinstance(run, RunSpec) for run in tried)
