"""From the files of the DCASE 2023 baseline to a run that fine-tunes them, by one command."""

import os
from pathlib import Path

import pytest
import torch

from preprocessing.cnn14_transfer import main
from tasks import parse_run
from tests import tiny
from tests.models.audio_encoders.test_panns_published import training_checkpoint
from tests.models.plain_dcase import panns_names, plain_dcase
from tests.models.plain_panns import checkpoint
from utils.audio_utils import FrontEnd
from utils.config_utils import override
from utils.weight_utils import read_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the conf.yaml of a tiny run on the baseline's front-end."""
    monkeypatch.chdir(tmp_path)
    tiny.write_conf(tmp_path)
    return tmp_path


def _error(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def _built(folder: Path, line: str):
    """The encoder of the run that the printed command starts."""
    words = line.removeprefix("next: ").split()
    settings = [words[number + 1] for number, word in enumerate(words) if word == "--set"]
    return parse_run(override(tiny.conf(folder), settings), "conf.yaml").model


@pytest.mark.parametrize("kind", ["audio_encoder.pth", "checkpoint"])
def test_the_baselines_files_become_a_run_with_its_embeddings(folder, capsys, kind):
    network = plain_dcase().eval()
    if kind == "checkpoint":
        torch.save(training_checkpoint(network), kind)
    else:
        torch.save(network.state_dict(), kind)
    main([kind])
    *_, taken, written, line, note = capsys.readouterr().out.splitlines()
    left_out = ", left out: text_enc" if kind == "checkpoint" else ""
    assert taken == f"CNN14Encoder, last_pool dcase2023{left_out}, the last layer is the file's own"
    assert written == "pretrained_models/CNN14_5.pth: written"
    assert note == "its input statistics are those of data.front_end: {name: dcase2023}"
    model = _built(folder, line)
    assert (model.out_dim, model.audio_encoder.last_pool) == (5, "dcase2023")
    clips = 3 * torch.randn(2, 200, 64) - 6
    with torch.no_grad():
        found = model.audio_encoder.build(5, 64).eval()(clips, torch.tensor([200, 200]))
        expected = network(clips)
    norm = torch.nn.functional.normalize
    torch.testing.assert_close(norm(found, dim=-1), norm(expected, dim=-1), atol=1e-6, rtol=0)


def test_a_file_of_the_user_is_never_replaced(folder, capsys):
    Path("pretrained_models").mkdir()
    mine = Path("pretrained_models/CNN14_5.pth")  # the name that the output has by default
    torch.save(plain_dcase().state_dict(), mine)
    before = mine.read_bytes()
    assert _error(capsys, str(mine)) == (
        f"error: {mine}: was not written here and is left alone; name another file with --output"
    )
    torch.save(checkpoint("CNN14Encoder", 2), "panns.pth")
    assert "was not written here and is left alone" in _error(capsys, "panns.pth", "--output", str(mine))
    assert mine.read_bytes() == before
    main([str(mine), "--output", "mine.pth"])


def test_another_width_draws_a_new_last_layer_as_the_run_says(folder, capsys):
    network = plain_dcase()
    torch.save(network.state_dict(), "audio_encoder.pth")
    settings = ["model.audio_encoder.name=CNN14Encoder", "model.audio_encoder.init=kaiming_normal"]
    main(["audio_encoder.pth", "--out-dim", "300", *(part for key in settings for part in ("--set", key))])
    assert "last_pool dcase2023, drawn from the seed: fc_out\n" in capsys.readouterr().out
    state, notes = read_weights(Path("pretrained_models/CNN14_300.pth"), "")
    assert (notes["init"], notes["last_pool"]) == ("kaiming_normal", "dcase2023")
    assert abs(state["fc_out.weight"].std().item() / (2 / 64) ** 0.5 - 1) < 0.05
    assert torch.equal(state["fc1.weight"], panns_names(network.state_dict())["fc1.weight"])


def test_weights_at_16_khz_are_refused_unless_told_otherwise(folder, capsys):
    numbers = FrontEnd.model_validate({"name": "panns"}).model_dump()
    numbers |= {"name": "custom", "sample_rate_hz": 16_000, "fmax_hz": 8_000, "hop_samples": 160}
    numbers |= {"window_samples": 512, "fft_size": 512}
    torch.save(checkpoint("CNN14Encoder", 2, front_end=FrontEnd.model_validate(numbers)), "Cnn14_16k.pth")
    message = _error(capsys, "Cnn14_16k.pth")
    assert message.startswith(
        "error: Cnn14_16k.pth: a CNN14 of PANNs at 16 kHz, trained on custom (16000 Hz, window 512"
    )
    repair = message.partition("set data.front_end: {")[2].partition("}")[0]
    assert message.endswith("}, or take another file, or take it all the same: --any-front-end")
    assert not Path("pretrained_models").exists()
    main(["Cnn14_16k.pth", "--any-front-end"])
    capsys.readouterr()
    main(["Cnn14_16k.pth", *(part for key in repair.split(", ") for part in ("--set", _setting(key)))])
    assert "pretrained_models/CNN14_8.pth: reused" in capsys.readouterr().out


def _setting(pair: str) -> str:
    key, _, value = pair.partition(": ")
    return f"data.front_end.{key}={value}"


def test_files_that_cannot_be_opened(folder, capsys):
    os.mkfifo("pipe.pth")
    assert "pipe.pth: is a pipe, a socket or a device, expected a file" in _error(capsys, "pipe.pth")
    assert "/dev/zero: is a pipe, a socket or a device" in _error(capsys, "/dev/zero")
    assert ".: is a folder, expected a file" in _error(capsys, ".")
    Path("pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:22\nsize 321244196\n")
    assert "pointer.pth: is a Git LFS pointer, not the weights themselves; run `git lfs pull`" in _error(
        capsys, "pointer.pth"
    )
