import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.audio_encoders.cnn6 import CNN6Encoder
from postprocessing import export
from tests import tiny
from tests.models.audio_encoders.test_panns_published import training_checkpoint
from tests.models.exported import write_panns
from tests.models.plain_dcase import plain_dcase
from tests.models.plain_panns import checkpoint
from tests.postprocessing.commands import error_of, run
from tests.training import run_of, write_trial
from utils.audio_utils import FrontEnd, log_mel, read_wave
from utils.model_utils import find_trial, read_checkpoint

ROOT = Path(__file__).parents[2]


def embedding_of_the_task(folder, sound):
    """The model's embedding of a file, from the task itself."""
    run_ = run_of(folder)
    task = run_.build()
    trial = find_trial(run_.folder)
    task.model().load_state_dict(read_checkpoint(trial.checkpoint.folder)["model"])
    task.model().eval()
    front_end = run_.data.front_end
    with torch.inference_mode():
        return task.embedder.features(log_mel(read_wave(sound, front_end.sample_rate_hz), front_end))


def numbers_in(printed):
    """The first numbers of the embedding that the example prints."""
    return [float(number) for number in printed.partition("\n[")[2].partition("]")[0].split()]


def test_the_example_gives_the_embedding_of_the_model(trained, capsys, tmp_path):
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
    expected = embedding_of_the_task(trained, sound)  # the mean over windows of a second, at norm 1
    assert len(read_wave(sound, 44_100)) > 2 * 44_100
    np.testing.assert_allclose(numbers_in(done.stdout), expected, atol=1e-6)
    width, norm = re.search(r"(\d+) numbers, norm ([\d.]+)", done.stdout).groups()
    assert (int(width), norm) == (8, "1.000")


def test_the_facts_say_how_to_build_and_what_to_feed(trained, capsys):
    run(export.main, capsys, trained)
    folder = trained / "runs" / "tiny"
    facts = json.loads((folder / "audio_encoder.json").read_text())
    assert facts["audio_encoder"]["name"] == "CNN10Encoder"
    assert facts["audio_encoder"]["base_channels"] == 2
    assert (facts["out_dim"], facts["out_norm"], facts["max_duration_s"]) == (8, "L2", 1.0)
    assert facts["front_end"]["n_mels"] == 64
    assert facts["made_from"].startswith("trial_00000/checkpoint_00000")
    state = torch.load(folder / "audio_encoder.pth", weights_only=True)["model"]
    trial = find_trial(folder)
    model = read_checkpoint(trial.checkpoint.folder)["model"]
    prefix = "dual_encoder.audio_encoder."
    assert {f"{prefix}{key}" for key in state} == {key for key in model if key.startswith(prefix)}
    assert all(torch.equal(value, model[prefix + key]) for key, value in state.items())


@pytest.mark.parametrize("width", [-1, 0, 2**40, "8", True])
def test_the_example_refuses_a_width_that_no_encoder_has(tmp_path, capsys, width):
    facts = write_panns(tmp_path, CNN6Encoder)
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"out_dim": width}))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "example" / "audio_encoder.py"))["main"](["example/example.wav", str(facts)])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "audio_encoder.json: is no exported audio encoder: out_dim: Input should be " in error
    assert f"(got {width!r}); write both files again: " in error


def test_no_features_are_needed(trained, capsys):
    for folder in (trained / "features", trained / "corpus"):
        shutil.rmtree(folder)
    result = run(export.main, capsys, trained)
    assert result.code == 0
    facts = json.loads((trained / "runs" / "tiny" / "audio_encoder.json").read_text())
    assert facts["out_dim"] == 8


def test_a_projection_as_wide_as_its_text_vectors(prepared, capsys):
    tiny.write_vectors(prepared / "vectors.npz")
    tiny.write_conf(prepared, tiny.clap_conf(prepared))
    write_trial(run_of(prepared))
    shutil.rmtree(prepared / "features")
    assert run(export.main, capsys, prepared).code == 0
    facts = json.loads((prepared / "runs" / "tiny-clap" / "audio_encoder.json").read_text())
    assert (facts["out_dim"], facts["input"]) == (16, "vector")


@pytest.mark.parametrize("kind", ["audio_encoder.pth", "checkpoint"])
def test_the_encoder_of_the_baseline_gives_its_embedding(raw, capsys, monkeypatch, kind):
    monkeypatch.chdir(raw)
    network = plain_dcase().eval()
    torch.save(training_checkpoint(network) if kind == "checkpoint" else network.state_dict(), kind)
    result = run(export.main, capsys, raw, "--from", kind, "--set", "data.max_duration_s=30")
    facts = Path("pretrained_models") / Path(kind).stem / "audio_encoder.json"
    assert f"wrote {facts}\nfront-end: dcase2023 (44100 Hz" in result.out
    example = ROOT / "example"  # another folder than the project's
    assert result.out.endswith(f" {example / 'audio_encoder.py'} {example / 'example.wav'} {facts}\n")
    sound = ROOT / "example" / "example.wav"
    monkeypatch.setattr(sys, "argv", ["audio_encoder.py", str(sound), str(facts)])
    runpy.run_path(str(ROOT / "example" / "audio_encoder.py"), run_name="__main__")
    features = torch.from_numpy(log_mel(read_wave(sound, 44_100), FrontEnd.model_validate({"name": "dcase2023"})))
    with torch.no_grad():
        expected = F.normalize(network(features[None])[0], dim=0)  # model.out_norm is L2
    np.testing.assert_allclose(numbers_in(capsys.readouterr().out), expected[:8], rtol=1e-3, atol=1e-5)


def test_a_file_for_export_must_have_a_last_layer(raw, capsys, monkeypatch):
    monkeypatch.chdir(raw)
    torch.save(checkpoint("CNN14Encoder", 2), "panns.pth")
    message = error_of(run(export.main, capsys, raw, "--from", "panns.pth"))
    assert message.startswith(
        "panns.pth: holds CNN14Encoder without a trained last layer: its embeddings meet no text; "
    )
    assert message.endswith("-m preprocessing.cnn14_transfer panns.pth")
    assert "no.pth: no such file; name another file: " in error_of(run(export.main, capsys, raw, "--from", "no.pth"))
    torch.save(plain_dcase().state_dict(), "audio_encoder.pth")
    message = error_of(run(export.main, capsys, raw, "--from", "audio_encoder.pth", "--output", "."))
    assert message == "--output .: holds audio_encoder.pth itself; name another folder"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "val"], "--split val: an encoder is exported without data; leave it out"),
        (["--output", "x"], "--output x: goes with --from; the files of a run are written in its trial's folder"),
        (["--from", "x", "--trial", "t"], "--trial t: chooses a trained run, --from a file; leave one of them out"),
        (["--run", "no-run"], "run no-run does not exist; train first: "),
    ],
)
def test_options_that_change_nothing_are_refused(raw, capsys, arguments, message):
    assert error_of(run(export.main, capsys, raw, *arguments)).startswith(message)


def test_a_checkpoint_of_another_network_is_refused(trained, capsys):
    params = next((trained / "runs" / "tiny").glob("*/params.json"))
    params.write_text(params.read_text().replace('"base_channels": 2', '"base_channels": 4'))
    message = error_of(run(export.main, capsys, trained))
    assert "checkpoint_00000" in message
    assert "does not fit CNN10Encoder: 43 of another shape: conv_block1.conv1.weight is (2, 1, 3, 3), " in message
