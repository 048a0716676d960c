"""params.json gives back the run that was trained, whatever its numbers look like."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postprocessing import export, xmodal_retrieval, xmodal_scores
from preprocessing import audio_logmel
from tasks import parse_run
from tests import tiny
from tests.training import run_of, write_trial
from utils.artefact_utils import write_json
from utils.config_utils import read_settings, to_mapping

OPTIMIZERS = [
    "{name: Adam, lr: 1e-5, betas: [0.5, 1e-3], weight_decay: 1e-10}",
    "{name: AdamW, lr: 1e-05, weight_decay: 1e-7}",
    "{name: SGD, lr: 1e-4, momentum: 1e-9}",
]
SCHEDULES = [
    "{name: WarmupCosine, warmup_epochs: 1}",
    "{name: ReduceLROnPlateau, factor: 1e-1, patience: 1, threshold: 1e-5, min_lr: 1e-12}",
    "{name: none}",
]


@pytest.mark.parametrize("front_end", ["dcase2023", "panns"])
@pytest.mark.parametrize(("optimizer", "schedule"), list(zip(OPTIMIZERS, SCHEDULES, strict=True)))
def test_from_training_to_scores_and_export(prepared, capsys, front_end, optimizer, schedule):
    changed = [f"data.front_end={{name: {front_end}}}", f"optimizer={optimizer}", f"lr_scheduler={schedule}"]
    arguments = ["--conf", str(prepared / "conf.yaml"), *(part for text in changed for part in ("--set", text))]
    if front_end != "dcase2023":
        audio_logmel.main([*arguments, "--workers", "1"])
    run = run_of(prepared, *changed, "training.epochs=1")
    trial = write_trial(run)
    assert parse_run(read_settings(trial / "params.json"), "params.json") == run
    only_conf = arguments[:2]
    for command in (xmodal_scores, xmodal_retrieval, export):
        command.main(only_conf)
    report = json.loads((run.folder / "evaluation_retrieval_metrics.json").read_text())
    assert report["text_to_audio"]["candidates"] == 4
    facts = json.loads((run.folder / "audio_encoder.json").read_text())
    assert facts["front_end"] == to_mapping(run)["data"]["front_end"]


def rate(low, high):
    return st.floats(low, high, exclude_min=True, allow_subnormal=True)


random_settings = st.fixed_dictionaries(
    {
        "optimizer": st.fixed_dictionaries(
            {"name": st.sampled_from(["Adam", "AdamW"]), "lr": rate(0, 10), "weight_decay": rate(0, 10)}
        ),
        "lr_scheduler": st.fixed_dictionaries({"name": st.just("ReduceLROnPlateau"), "min_lr": rate(0, 1)}),
        "front_end": st.sampled_from(["dcase2023", "panns"]).map(lambda name: {"name": name})
        | st.fixed_dictionaries(
            {
                "name": st.just("custom"),
                "sample_rate_hz": st.integers(8000, 96_000),
                "window_samples": st.integers(16, 512),
                "hop_samples": st.integers(1, 512),
                "fft_size": st.integers(256, 1024).map(lambda n: 2 * n),
                "n_mels": st.integers(1, 128),
                "fmin_hz": st.floats(0, 100),
                "fmax_hz": st.floats(200, 4000),
                "log": st.sampled_from(["ln", "dB"]),
                "offset": rate(0, 1),
                "padding": st.sampled_from(["constant", "reflect"]),
            }
        ),
        "seed": st.integers(0, 2**31),
    }
)


@settings(max_examples=50, deadline=None)
@given(random_settings)
def test_random_settings_come_back(tmp_path_factory, changed):
    folder = tmp_path_factory.getbasetemp() / "settings"
    mapping = tiny.conf(folder)
    mapping |= {"optimizer": changed["optimizer"], "lr_scheduler": changed["lr_scheduler"]}
    mapping["data"]["front_end"] = changed["front_end"]
    mapping["training"]["seed"] = changed["seed"]
    run = parse_run(mapping, "conf.yaml")
    write_json(folder / "params.json", to_mapping(run))
    assert parse_run(read_settings(folder / "params.json"), "params.json") == run
