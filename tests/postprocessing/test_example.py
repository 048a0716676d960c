"""example/audio_encoder.py: what is missing or broken is one line."""

import json
import re

import pytest
import torch

from example import audio_encoder
from models.audio_encoders.cnn10 import CNN10Spec
from tests.tiny import ROOT
from utils.weight_utils import write_weights

SOUND = ROOT / "example" / "example.wav"


@pytest.fixture
def facts(tmp_path):
    """An exported encoder with random weights."""
    torch.manual_seed(0)
    spec = CNN10Spec(name="CNN10Encoder", base_channels=2)
    write_weights(tmp_path / "a.pth", spec.build(8, 64).state_dict(), {"encoder": spec.name, "out_dim": 8})
    content = {"audio_encoder": spec.model_dump(mode="json"), "out_dim": 8, "front_end": {"name": "dcase2023"}}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path / "a.json"


def test_it_prints_the_embedding(facts, capsys):
    audio_encoder.main([str(SOUND), str(facts)])
    assert re.search(r"example\.wav: 8 numbers, norm 1\.000\n\[", capsys.readouterr().out)


def test_what_is_missing_or_broken_is_one_line(facts, tmp_path, capsys):
    def refused(sound, encoder):
        with pytest.raises(SystemExit) as stop:
            audio_encoder.main([str(sound), str(encoder)])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    assert f"{broken}: cannot be decoded: " in refused(broken, facts)
    assert "none.wav: cannot be decoded: no such file" in refused(tmp_path / "none.wav", facts)
    assert "none.json: no such file; write both files again: " in refused(SOUND, tmp_path / "none.json")
    for text in (
        "{",
        "[]",
        "{}",
        '{"front_end": 1}',
        facts.read_text().replace('"n_mels"', '"bands"').replace("front_end", "f"),
    ):
        (tmp_path / "b.json").write_text(text)
        assert "b.json: is no exported audio encoder: " in refused(SOUND, tmp_path / "b.json")
    (tmp_path / "b.json").write_text(facts.read_text().replace("CNN10", "CNN15"))
    assert "b.json: holds a network named CNN15Encoder, expected CNN14Encoder or " in refused(
        SOUND, tmp_path / "b.json"
    )
    (tmp_path / "b.json").write_text(facts.read_text())
    assert "b.pth: no such file" in refused(SOUND, tmp_path / "b.json")
    (tmp_path / "b.pth").write_bytes(b"PK")
    assert "b.pth: " in refused(SOUND, tmp_path / "b.json")
    facts.write_text(facts.read_text().replace('"out_dim": 8', '"out_dim": 9'))
    assert "a.pth: does not fit the CNN10Encoder of a.json: " in refused(SOUND, facts)


def test_without_arguments_it_says_how_to_use_it(capsys):
    with pytest.raises(SystemExit) as stop:
        audio_encoder.main([])
    assert stop.value.code == 2
    assert "the following arguments are required: SOUND, encoder" in capsys.readouterr().err
