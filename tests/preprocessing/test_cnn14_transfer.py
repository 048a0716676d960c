"""Checkpoints as PANNs publish them, small, from files and from a server on this machine."""

import functools
import hashlib
import http.server
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from preprocessing import cnn14_transfer
from preprocessing.cnn14_transfer import ENCODERS, download, fetch, main
from tasks import parse_run
from tests import tiny
from tests.models.plain_panns import checkpoint, network_of, plain_panns
from utils.audio_utils import FrontEnd
from utils.cli_utils import UserError
from utils.config_utils import override
from utils.weight_utils import read_weights

NAMES = list(ENCODERS)
PROJECT = Path(__file__).parents[2]
ANOTHER = "name a PANNs checkpoint, or none to download CNN14: python -m preprocessing.cnn14_transfer --conf run.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a conf.yaml whose features have 64 bands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))  # the modules are found from here: lines name no other place
    tiny.write_conf(tmp_path).rename("run.yaml")
    return tmp_path


def _write(path: str, name: str = "CNN10Encoder", base: int = 2, seed: int = 0) -> str:
    torch.save(checkpoint(name, base, seed), path)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _transfer(*arguments: str) -> None:
    main([*arguments, "--conf", "run.yaml"])


def _refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        _transfer(*arguments)
    assert caught.value.code == 2
    *progress, text = capsys.readouterr().err.splitlines()
    assert text.startswith("error: ")
    assert "error" not in "".join(progress)
    return text.removeprefix("error: ")


def _run(folder: Path, **settings: object):
    changes = [f"model.audio_encoder.{key}={value}" for key, value in settings.items()]
    return parse_run(override(tiny.conf(folder), changes), "conf.yaml")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_becomes_an_encoder_with_panns_numbers(folder, capsys, name, legacy):
    content = checkpoint(name, base=2)
    torch.save(content, "panns.pth", _use_new_zipfile_serialization=not legacy)
    _transfer("panns.pth")
    written = f"pretrained_models/{name.removesuffix('Encoder')}_8.pth"
    assert f"{written}: written\n" in capsys.readouterr().out
    encoder = _run(folder, name=name, base_channels=2, weights=written).model.audio_encoder.build(8, 64).eval()
    plain = plain_panns(name, 2).eval()
    plain.load_state_dict(network_of(content))
    clips = torch.randn(2, 75, 64)
    with torch.no_grad():
        expected = plain(clips)
        assert expected.std() > 1e-3
        torch.testing.assert_close(encoder.embed(clips, torch.tensor([75, 75])), expected, atol=1e-5, rtol=0)


def test_the_file_says_how_it_was_made(folder):
    digest = _write("panns.pth")
    _transfer("panns.pth", "--out-dim", "5", "--seed", "3", "--output", "made/here.pth")
    state, notes = read_weights(folder / "made" / "here.pth", "")
    assert notes == {
        "format_version": 1,
        "encoder": "CNN10Encoder",
        "sha256": digest,
        "last_pool": "panns",
        "out_dim": 5,
        "seed": 3,
        "init": "xavier_uniform",
        "source": "panns.pth",
    }
    assert state["fc_out.weight"].shape == (5, 16)
    assert not [key for key in state if key.startswith(("spectrogram", "logmel", "fc_audioset"))]


def test_the_seed_makes_the_last_layer_and_nothing_else(folder):
    _write("panns.pth")
    states = []
    before = torch.get_rng_state()
    for number, seed in enumerate(["0", "0", "1"]):
        _transfer("panns.pth", "--seed", seed, "--output", f"{number}.pth")
        states.append(read_weights(Path(f"{number}.pth"), "").state)
    first, again, other = states
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert [key for key, value in first.items() if not torch.equal(value, other[key])] == ["fc_out.weight"]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_second_run_reuses_the_file_unless_something_changed(folder, capsys):
    _write("panns.pth")
    output = Path("pretrained_models/CNN10_8.pth")

    def made_anew(*arguments: str) -> bool:
        before = output.stat().st_mtime_ns if output.exists() else 0
        _transfer(*arguments)
        said = capsys.readouterr().out
        written = output.stat().st_mtime_ns != before
        assert (f"{output}: written" in said) is written
        assert (f"{output}: reused, it was made from the same checkpoint" in said) is not written
        return written

    assert made_anew("panns.pth")
    assert not made_anew("panns.pth")
    assert made_anew("panns.pth", "--seed", "1")
    _write("panns.pth", seed=1)
    assert made_anew("panns.pth", "--seed", "1")
    output.write_bytes(output.read_bytes()[:1000])
    assert made_anew("panns.pth", "--seed", "1")
    assert not made_anew("panns.pth", "--seed", "1")


def test_it_ends_with_the_command_that_trains_from_the_file(folder, capsys):
    _write("panns.pth", "CNN6Encoder", base=3)
    _transfer("panns.pth", "--out-dim", "5")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"next: python {tiny.ROOT / 'main.py'} --conf run.yaml --set model.out_dim=5 --set "
        "model.audio_encoder.name=CNN6Encoder --set model.audio_encoder.base_channels=3 --set "
        "model.audio_encoder.weights=pretrained_models/CNN6_5.pth",
        "its input statistics are those of data.front_end: {name: panns}",
    ]


def test_files_that_are_no_checkpoint_of_panns(folder, capsys):
    assert _refused(capsys, "none.pth") == f"none.pth: no such file; {ANOTHER}"
    Path("text.pth").write_text("<html>")
    assert _refused(capsys, "text.pth") == (
        f"text.pth: is an HTML page, not weights: the link led to a web page; download the file itself; or: {ANOTHER}"
    )
    _write("cut.pth")
    Path("cut.pth").write_bytes(Path("cut.pth").read_bytes()[:-50])
    assert _refused(capsys, "cut.pth") == (f"cut.pth: not a complete checkpoint (BadZipFile while reading); {ANOTHER}")
    assert not Path("pretrained_models").exists()


class _Code:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_checkpoint_with_code_is_refused(folder, capsys):
    content = checkpoint("CNN10Encoder", 2)
    torch.save(content | {"sampler": _Code()}, "code.pth")
    message = _refused(capsys, "code.pth")
    assert message == f"code.pth: refused: it names print; expected only tensors and plain values; {ANOTHER}"
    assert "code ran" not in capsys.readouterr().out


def test_missing_and_unexpected_keys_are_named(folder, capsys):
    content = checkpoint("CNN10Encoder", 2)
    for key in ("bn0.bias", "fc1.weight"):
        del content["model"][key]
    content["model"]["pre_conv0.weight"] = torch.ones(1)
    torch.save(content, "other.pth")
    problems = "2 missing: bn0.bias, fc1.weight; 1 unexpected: pre_conv0.weight"
    expected = f"other.pth: not a PANNs checkpoint of CNN10Encoder: {problems}; {ANOTHER}"
    assert _refused(capsys, "other.pth") == expected


def test_another_encoder_than_the_one_asked_for_is_refused(folder, capsys):
    _write("panns.pth", "CNN10Encoder")
    _transfer("panns.pth", "--encoder", "CNN10Encoder")
    message = _refused(capsys, "panns.pth", "--encoder", "CNN6Encoder")
    assert message == (
        "panns.pth: not a PANNs checkpoint of CNN6Encoder: 24 unexpected: conv_block1.conv2.weight, "
        f"conv_block1.bn2.weight, conv_block1.bn2.bias and 21 more; {ANOTHER}"
    )


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("fc1.weight", torch.zeros(16, 8), "1 of another shape: fc1.weight is (16, 8), expected (16, 16)"),
        ("bn0.weight", torch.zeros(8), "CNN10Encoder needs 16 mel bands or more, got 8"),
        ("bn0.weight", torch.tensor(1.0), "CNN10Encoder needs 16 mel bands or more, got 1"),
        ("fc1.weight", torch.full((16, 16), float("nan")), "holds NaN or infinite values in fc1.weight: a diverged"),
        ("bn0.running_var", torch.full((64,), -1.0), "holds negative variances in bn0.running_var"),
    ],
)
def test_tensors_of_another_shape_are_named(folder, capsys, key, value, problem):
    content = checkpoint("CNN10Encoder", 2)
    content["model"][key] = value
    torch.save(content, "panns.pth")
    message = _refused(capsys, "panns.pth")
    assert problem in message
    assert message.endswith(ANOTHER)


def test_other_bands_than_the_runs_are_refused(folder, capsys):
    numbers = FrontEnd.model_validate({"name": "panns"}).model_dump() | {"name": "custom", "n_mels": 32}
    torch.save(checkpoint("CNN10Encoder", 2, front_end=FrontEnd.model_validate(numbers)), "panns.pth")
    assert _refused(capsys, "panns.pth") == (
        "panns.pth: made for 32 mel bands, data.front_end has 64; set data.front_end: {name: panns}"
    )


def test_the_sha256_is_checked(folder, capsys):
    digest = _write("panns.pth")
    _transfer("panns.pth", "--sha256", digest.upper())
    assert f"panns.pth: sha256 {digest}\n" in capsys.readouterr().out
    assert _refused(capsys, "panns.pth", "--sha256", "0" * 64) == (
        f"panns.pth: sha256 is {digest}, expected {'0' * 64}; replace the file, or give the right --sha256"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sha256", "12"], "argument --sha256: expected 64 hexadecimal digits, got 12"),
        (["--out-dim", "0"], "argument --out-dim: expected a whole number above 0, got 0"),
    ],
)
def test_bad_arguments(folder, capsys, arguments, message):
    with pytest.raises(SystemExit):
        _transfer("panns.pth", *arguments)
    assert message in capsys.readouterr().err


def test_help_names_the_default_checkpoint(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert cnn14_transfer.URLS["CNN14Encoder"] in "".join(capsys.readouterr().out.split())


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; `/short/` announces more than it sends, `/slow/` stops halfway and waits."""

    def do_GET(self):
        kind, name = self.path.split("/")[1:3]
        self.server.requests.append(self.path)
        body = Path(self.directory, name.replace("%3D", "=")).read_bytes() if kind != "none" else b""
        self.send_response(200 if kind != "none" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if kind == "whole" else body[: len(body) // 2])
        if kind == "slow":
            self.wfile.flush()
            self.server.released.wait(20)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(folder: Path):
    """A server on this machine; `.url` and the `.requests` so far."""
    (folder / "served").mkdir()
    handler = functools.partial(_Handler, directory=str(folder / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.requests, server.released = [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def test_a_url_is_downloaded_once_and_checked(folder, server, capsys):
    digest = _write("served/Cnn10_mAP=0.380.pth")
    url = f"{server.url}/whole/Cnn10_mAP%3D0.380.pth"
    _transfer(url, "--sha256", digest)
    kept = "pretrained_models/downloads/Cnn10_mAP=0.380.pth"
    captured = capsys.readouterr()
    assert f"{kept}: sha256 {digest}\n" in captured.out
    assert "Cnn10_mAP=0.380.pth: 100%" in captured.err
    assert read_weights(Path("pretrained_models/CNN10_8.pth"), "").notes["source"] == url
    _transfer(url)
    said = capsys.readouterr().out
    assert f"{kept}: downloaded before\n" in said
    assert "reused" in said
    assert len(server.requests) == 1
    Path(kept).write_bytes(b"damaged")
    assert _refused(capsys, url, "--sha256", digest).startswith(f"{kept}: sha256 is ")


def test_without_a_checkpoint_the_encoders_own_url_is_taken(folder, server, monkeypatch, capsys):
    digest = _write("served/six.pth", "CNN6Encoder")
    urls = {"CNN14Encoder": f"{server.url}/none/x.pth", "CNN6Encoder": f"{server.url}/whole/six.pth"}
    monkeypatch.setattr(cnn14_transfer, "URLS", urls)
    monkeypatch.setattr(cnn14_transfer, "KNOWN_SHA256", {urls["CNN6Encoder"]: digest})
    _transfer("--encoder", "CNN6Encoder")
    assert Path("pretrained_models/CNN6_8.pth").is_file()
    assert _refused(capsys).startswith(f"{server.url}/none/x.pth: not downloaded (HTTP Error 404: Not Found); ")
    monkeypatch.setattr(cnn14_transfer, "KNOWN_SHA256", {urls["CNN6Encoder"]: "0" * 64})
    assert f"sha256 is {digest}, expected {'0' * 64}" in _refused(capsys, "--encoder", "CNN6Encoder")


def test_the_known_sha256_belongs_to_the_default():
    assert list(cnn14_transfer.KNOWN_SHA256) == [cnn14_transfer.URLS["CNN14Encoder"]]
    assert cnn14_transfer.URLS["CNN14Encoder"] == ("https://zenodo.org/record/3987831/files/Cnn14_mAP%3D0.431.pth")
    assert cnn14_transfer.URLS.keys() == ENCODERS.keys()


def test_a_download_with_another_sha256_is_not_kept(folder, server):
    digest = _write("served/a.pth")
    url = f"{server.url}/whole/a.pth"
    with pytest.raises(UserError) as caught:
        fetch(url, "f" * 64, folder / "downloads")
    assert str(caught.value) == (
        f"{url}: sha256 is {digest}, expected {'f' * 64}; replace the file, or give the right --sha256"
    )
    assert list((folder / "downloads").iterdir()) == []


def test_a_download_cut_short_is_refused_and_not_kept(folder, server, capsys):
    _write("served/a.pth")
    size = Path("served/a.pth").stat().st_size
    url = f"{server.url}/short/a.pth"
    assert _refused(capsys, url) == (
        f"{url}: not downloaded (it ended after {size // 2} of {size} bytes); check the network, or fetch it on "
        "another machine and name the file: python -m preprocessing.cnn14_transfer --conf run.yaml a.pth"
    )
    assert list(Path("pretrained_models/downloads").iterdir()) == []


def test_no_network_is_one_clear_line(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.pth"
    message = _refused(capsys, url)
    assert message.startswith(f"{url}: not downloaded (<urlopen error ")
    assert "check the network, or fetch it on another machine and name the file: " in message


_KILLED = """
import sys
from pathlib import Path
from preprocessing.cnn14_transfer import download
download(sys.argv[1], Path(sys.argv[2]))
"""


def test_a_killed_download_leaves_no_complete_file_and_the_next_one_cleans_up(folder, server):
    digest = _write("served/a.pth")
    path = folder / "downloads" / "a.pth"
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, f"{server.url}/slow/a.pth", str(path)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (path.parent.is_dir() and any(path.parent.iterdir())):
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not path.exists()
    assert download(f"{server.url}/whole/a.pth", path) == digest
    assert list(path.parent.iterdir()) == [path]
