import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from postprocessing import export
from tests.postprocessing.commands import run
from tests.training import run_of
from utils.audio_utils import log_mel, read_wave
from utils.model_utils import find_trial, read_checkpoint

ROOT = Path(__file__).parents[2]


def raw_embedding(folder, sound):
    """The audio encoder's output for a file, before normalisation, from the task itself."""
    run_ = run_of(folder, "model.out_norm=none", "data.max_duration_s=60")
    task = run_.build()
    trial = find_trial(run_.folder)
    task.model().load_state_dict(read_checkpoint(trial.checkpoint.folder)["model"])
    task.model().eval()
    front_end = run_.data.front_end
    with torch.inference_mode():
        return task.embed_clip(log_mel(read_wave(sound, front_end.sample_rate_hz), front_end))


def test_the_example_gives_the_embedding_of_the_task(trained, capsys, tmp_path):
    result = run(export.main, capsys, trained)
    facts = trained / "runs" / "tiny" / "audio_encoder.json"
    sound = ROOT / "example" / "example.wav"
    assert f" example/audio_encoder.py example/example.wav {facts}" in result.out
    done = subprocess.run(
        [sys.executable, str(ROOT / "example" / "audio_encoder.py"), str(sound), str(facts)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = raw_embedding(trained, sound)
    printed = done.stdout.partition("tensor(")[2].partition("]")[0].lstrip("[")
    np.testing.assert_allclose([float(number) for number in printed.split(",")], expected, atol=2e-4)
    frames, width, norm = re.search(r"(\d+) frames -> (\d+) numbers, norm ([\d.]+)", done.stdout).groups()
    assert (int(width), float(norm)) == (8, round(float(np.linalg.norm(expected)), 3))
    assert int(frames) == 1 + len(read_wave(sound, 44_100)) // 882


def test_the_facts_say_how_to_build_and_what_to_feed(trained, capsys):
    run(export.main, capsys, trained)
    folder = trained / "runs" / "tiny"
    facts = json.loads((folder / "audio_encoder.json").read_text())
    assert facts["audio_encoder"]["name"] == "CNN10Encoder"
    assert facts["audio_encoder"]["base_channels"] == 2
    assert (facts["out_dim"], facts["out_norm"]) == (8, "L2")
    assert facts["front_end"]["n_mels"] == 64
    assert facts["made_from"].startswith("trial_00000/checkpoint_00000")
    state = torch.load(folder / "audio_encoder.pth", weights_only=True)["model"]
    trial = find_trial(folder)
    model = read_checkpoint(trial.checkpoint.folder)["model"]
    prefix = "dual_encoder.audio_encoder."
    assert {f"{prefix}{key}" for key in state} == {key for key in model if key.startswith(prefix)}
    assert all(torch.equal(value, model[prefix + key]) for key, value in state.items())
