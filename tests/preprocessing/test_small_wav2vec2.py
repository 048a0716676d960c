"""A small wav2vec 2.0 is written whole, loads as every other one, and replaces nothing."""

import json

import pytest
import torch

from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.backbones import load_backbone
from preprocessing import small_wav2vec2 as script
from tests import tiny
from utils.cli_utils import command_line

SMALL = ["--hidden-size", "32", "--layers", "1"]


def write(folder, *argv):
    script.main(["--conf", str(tiny.ROOT / "tasks" / "classification.yaml"), "--folder", str(folder), *argv])


def test_the_loading_code_reads_it_and_everything_learns(tmp_path):
    folder = tmp_path / "features" / "wav2vec2"
    write(folder, *SMALL)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "small_wav2vec2.json",
    ]
    spec = Wav2Vec2Spec(name="Wav2Vec2Encoder", model=str(folder), freeze_feature_encoder=False, weighted_layers=True)
    encoder = spec.build(3)
    assert encoder.backbone.sample_rate_hz == 16_000
    assert encoder.backbone.normalise
    assert encoder.backbone.frame_count(16_000) == 48  # 50 a second, of which the last two are not whole
    assert len(encoder.backbone.layers) == 1
    waves = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    encoder(waves, torch.tensor([8_000, 4_000])).square().sum().backward()
    learning = {name for name, value in encoder.named_parameters() if value.grad is not None and value.grad.any()}
    # masked_spec_embed replaces masked frames, and none are masked
    assert {name for name, _ in encoder.named_parameters()} - learning == {"backbone.network.masked_spec_embed"}


def test_a_clip_has_one_output_alone_and_in_a_batch(tmp_path):
    write(tmp_path / "w", *SMALL)
    network = load_backbone(str(tmp_path / "w"), "model")
    waves = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both, counts = network.frames(waves, torch.tensor([8_000, 5_000]))
        alone, _ = network.frames(waves[1:, :5_000], torch.tensor([5_000]))
    torch.testing.assert_close(both[1, : counts[1]], alone[0], atol=1e-5, rtol=1e-5)


def test_sizes_and_seed_decide_on_the_weights(tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        write(tmp_path / name, *SMALL, "--seed", seed)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_the_same_is_reused_and_nothing_else_is_replaced(tmp_path, capsys):
    folder = tmp_path / "w"
    (tmp_path / ".w.partial-1").mkdir()  # of a killed run
    write(folder, *SMALL)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    printed = capsys.readouterr().out
    assert f"wrote {folder}: 0.03 M random weights\n" in printed
    assert f"use it:  model.audio_encoder: {{name: Wav2Vec2Encoder, model: {folder}, freeze_feature" in printed
    conf = str(tiny.ROOT / "tasks" / "classification.yaml")
    assert printed.splitlines()[-1] == f"next: {command_line('main.py', '--conf', conf)}"
    write(folder, *SMALL)
    assert f"reused {folder}: it is of the same sizes and seed\n" in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "wav2vec2"}')
    for place, argv in ((folder, [*SMALL, "--seed", "1"]), (folder, []), (tmp_path / "other", SMALL)):
        with pytest.raises(SystemExit) as stop:
            write(place, *argv)
        assert stop.value.code == 2
        error = f"error: {place}: holds another network, which is not replaced; remove it, or name another folder: "
        assert capsys.readouterr().err == f"{error}--folder\n"
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["other", "w"]


def test_a_run_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stopped(path, value):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "write_json", stopped)
    with pytest.raises(SystemExit):
        write(tmp_path / "w", *SMALL)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--hidden-size", "40"], "--hidden-size 40: expected a multiple of 16, to 1024"),
        (["--hidden-size", "2048"], "--hidden-size 2048: expected a multiple of 16, to 1024"),
        (["--layers", "25"], "--layers 25: expected 1 to 24"),
    ],
)
def test_bad_sizes_are_one_line(argv, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        write(tmp_path / "w", *argv)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_by_default_it_is_beside_the_features(tmp_path):
    conf = tiny.write_conf(tmp_path)
    script.main(["--conf", str(conf), *SMALL])
    notes = json.loads((tmp_path / "features" / "small_wav2vec2" / "small_wav2vec2.json").read_text())
    assert notes == {"format_version": 1, "hidden_size": 32, "layers": 1, "seed": 0}
