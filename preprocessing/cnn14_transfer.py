"""A published PANNs checkpoint -> initial weights of this project's audio encoders.

    python -m preprocessing.cnn14_transfer                        download CNN14, write CNN14_<out_dim>.pth
    python -m preprocessing.cnn14_transfer Cnn10_mAP=0.380.pth    the same from a file at hand

The encoder's own last layer (`fc_out`) is new and drawn from the seed; the classifier and the front-end that the
checkpoint carries are left out.

Source: Kong et al. 2020, "PANNs"; checkpoints: https://zenodo.org/record/3987831.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

import torch
from torch import Tensor

from models.audio_encoders import CNN6Encoder, CNN10Encoder, CNN14Encoder
from models.audio_encoders.panns import PANNsEncoder
from tasks import Run, load_run
from utils.artefact_utils import remove_leftovers, replacing
from utils.cli_utils import ArtefactError, UserError, command, command_for, positive
from utils.report_utils import progress_bar
from utils.weight_utils import key_problems, read_checkpoint, write_weights

SCRIPT = "preprocessing.cnn14_transfer"
FOLDER = Path("pretrained_models")

ENCODERS: dict[str, type[PANNsEncoder]] = {
    encoder.__name__: encoder for encoder in (CNN14Encoder, CNN10Encoder, CNN6Encoder)
}
_RECORD = "https://zenodo.org/record/3987831/files"
URLS = {
    "CNN14Encoder": f"{_RECORD}/Cnn14_mAP%3D0.431.pth",
    "CNN10Encoder": f"{_RECORD}/Cnn10_mAP%3D0.380.pth",
    "CNN6Encoder": f"{_RECORD}/Cnn6_mAP%3D0.343.pth",
}
# Zenodo gives MD5 541141fa2ee191a88f24a3219fff024e; the SHA-256 is what many users of the file recorded.
KNOWN_SHA256 = {
    URLS["CNN14Encoder"]: "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
}

# Parts of a PANNs checkpoint that no encoder here has: its front-end and its classifier.
LEFT_OUT = ("spectrogram_extractor.", "logmel_extractor.", "fc_audioset.")

_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 60


class Source(NamedTuple):
    """A checkpoint on this disk: its file, the URL or path it was named by, its SHA-256."""

    path: Path
    origin: str
    sha256: str


class Head(NamedTuple):
    """The new last layer: its width E, and the seed of its initial values."""

    out_dim: int
    seed: int


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the initial weights of an audio encoder from a PANNs checkpoint."""
    run, options = load_run(argv, _parser())
    origin = options.checkpoint or URLS[options.encoder or "CNN14Encoder"]
    source = fetch(origin, options.sha256 or KNOWN_SHA256.get(origin), FOLDER / "downloads")
    print(f"{source.path}: sha256 {source.sha256}")
    state = read_checkpoint(source.path, _another_file()).state
    kind = recognise(state, options.encoder, source.path)
    out_dim = options.out_dim or run.model.out_dim
    if out_dim is None:
        raise UserError("model.out_dim: found null, expected the width of the last layer; give it with --out-dim N")
    head = Head(out_dim, options.seed)
    output = options.output or FOLDER / f"{kind.__name__.removesuffix('Encoder')}_{head.out_dim}.pth"
    encoder = build(state, kind, head, source.path)
    if encoder.n_mels != run.data.front_end.n_mels:
        raise UserError(
            f"{source.path}: made for {encoder.n_mels} mel bands, data.front_end has "
            f"{run.data.front_end.n_mels}; take data.front_end: {{name: panns}}"
        )
    written = save(encoder, head, source, output)
    print(f"{output}: {'written' if written else 'reused, it was made from the same checkpoint'}")
    print(usage(encoder, output, run))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    default = URLS["CNN14Encoder"].replace("%", "%%")  # argparse formats help texts
    where = f"file or http(s) URL; default: {default}, or the one of --encoder"
    parser.add_argument("checkpoint", nargs="?", help=where)
    parser.add_argument("--encoder", choices=ENCODERS, help="default: CNN14Encoder, or what CHECKPOINT is")
    parser.add_argument("--out-dim", type=positive, metavar="N", help="default: the run's model.out_dim")
    parser.add_argument("--sha256", type=_sha256, metavar="HEX", help="what the checkpoint's SHA-256 must be")
    parser.add_argument("--seed", type=int, default=0, help="of the new last layer (default %(default)s)")
    parser.add_argument("--output", type=Path, help=f"default: {FOLDER}/<CNN14>_<out_dim>.pth")
    return parser


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"expected 64 hexadecimal digits, got {text}")
    return text.lower()


def _another_file() -> str:
    return f"name a PANNs checkpoint, or none to download CNN14: {command_for(SCRIPT)}"


def fetch(origin: str, sha256: str | None, downloads: Path) -> Source:
    """Bring a checkpoint to this disk.

    Args:
        origin: a file, or an http(s) URL; what was downloaded before is not downloaded again.
        sha256: what its SHA-256 must be, 64 lower-case digits; None: anything.
        downloads: folder for downloaded files.
    Raises:
        UserError: no such file, no connection, a download cut short, or another SHA-256.
    """
    if urlsplit(origin).scheme not in ("http", "https"):
        path = Path(origin).expanduser()
        if not path.is_file():
            raise ArtefactError(f"{path}: no such file; {_another_file()}")
        return Source(path, origin, _checked_digest(path, sha256, str(path)))
    path = downloads / (Path(unquote(urlsplit(origin).path)).name or "checkpoint.pth")
    if not path.is_file():
        return Source(path, origin, download(origin, path, sha256))
    print(f"{path}: downloaded before")
    return Source(path, origin, _checked_digest(path, sha256, str(path)))


def download(url: str, path: Path, sha256: str | None = None) -> str:
    """Download to `path`, complete and checked or not at all; shows its progress.

    Returns:
        The file's SHA-256.
    Raises:
        UserError: no connection, an answer cut short, or another SHA-256.
    """
    remove_leftovers(path)
    try:
        with replacing(path) as beside:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, beside.open("wb") as stream:
                size = response.headers.get("Content-Length")
                _copy(response, stream, path.name, int(size) if size else None)
            return _checked_digest(beside, sha256, url)
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        again = command_for(SCRIPT, path.name)
        raise UserError(
            f"{url}: not downloaded ({' '.join(str(error).split())}); check the network, or fetch it on another "
            f"machine and name the file: {again}"
        ) from error


def _copy(response: BinaryIO, stream: BinaryIO, name: str, size: int | None) -> None:
    """Copy an answer; one shorter than its announced size is a ConnectionError."""
    copied = 0
    with progress_bar(size, name, "B", unit_scale=True) as progress:
        while block := response.read(_BLOCK_BYTES):
            stream.write(block)
            copied += len(block)
            progress.update(len(block))
    if size is not None and copied != size:
        raise ConnectionError(f"it ended after {copied} of {size} bytes")


def _checked_digest(path: Path, wanted: str | None, name: str) -> str:
    """The file's SHA-256; a UserError that calls the file `name` when it is not the wanted one."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if wanted is not None and found != wanted:
        raise UserError(f"{name}: sha256 is {found}, expected {wanted}; replace the file, or give the right --sha256")
    return found


def recognise(state: Mapping[str, Tensor], name: str | None, path: Path) -> type[PANNsEncoder]:
    """The encoder that a checkpoint belongs to, by its keys.

    Args:
        state: the checkpoint's tensors by name.
        name: one of `ENCODERS`; None: whichever has these keys.
        path: the file, for messages.
    Raises:
        ArtefactError: no encoder has these keys; the missing and the unexpected ones are named.
    """
    found = dict.fromkeys(_trunk(state), torch.empty(0))  # of shapes later
    with torch.device("meta"):  # keys alone: no memory, no random numbers
        wanted = {
            kind: dict.fromkeys(_trunk(kind(out_dim=1).state_dict()), torch.empty(0))
            for kind in ([ENCODERS[name]] if name else ENCODERS.values())
        }
    nearest = min(wanted, key=lambda kind: len(wanted[kind].keys() ^ found.keys()))
    _refuse(key_problems(wanted[nearest], found), nearest, path)
    return nearest


def build(state: Mapping[str, Tensor], kind: type[PANNsEncoder], head: Head, path: Path) -> PANNsEncoder:
    """An encoder of the checkpoint's own width and bands, with its weights and a new `fc_out`.

    Raises:
        ArtefactError: tensors of another shape; they are named.
    """
    n_mels, base_channels = _first_size(state["bn0.weight"]), _first_size(state["conv_block1.conv1.weight"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(head.seed)
        try:
            encoder = kind(head.out_dim, n_mels, base_channels)
        except ValueError as error:
            raise ArtefactError(f"{path}: {error}; {_another_file()}") from error
    own = encoder.state_dict()
    whole = _trunk(state) | {key: value for key, value in own.items() if key not in _trunk(own)}
    _refuse(key_problems(own, whole), kind, path)
    encoder.load_state_dict(whole)
    return encoder


def _first_size(tensor: Tensor) -> int:
    """The size of the first axis, at least 1, also of a tensor that has none: its shape is refused later."""
    return max([*tensor.shape, 1][0], 1)


def _trunk(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a checkpoint of PANNs and an encoder of ours have in common."""
    return {key: value for key, value in state.items() if not key.startswith((*LEFT_OUT, "fc_out."))}


def _refuse(problems: str, kind: type[PANNsEncoder], path: Path) -> None:
    if problems:
        raise ArtefactError(f"{path}: not a PANNs checkpoint of {kind.__name__}: {problems}; {_another_file()}")


def save(encoder: PANNsEncoder, head: Head, source: Source, output: Path) -> bool:
    """Write the weights file, unless `output` was made from the same checkpoint, encoder and last layer.

    Returns:
        Whether it was written; False: it stood there already.
    """
    notes = {"encoder": type(encoder).__name__, "sha256": source.sha256, **head._asdict()}
    if _notes_of(output).items() >= notes.items():
        return False
    remove_leftovers(output)
    write_weights(output, encoder.state_dict(), {**notes, "source": source.origin})
    return True


def _notes_of(output: Path) -> dict[str, object]:
    """How a weights file was made; nothing when it is missing or broken."""
    try:
        return read_checkpoint(output, "").notes
    except ArtefactError:
        return {}


def usage(encoder: PANNsEncoder, output: Path, run: Run) -> str:
    """The command that trains from the weights file."""
    settings = {
        "model.out_dim": encoder.out_dim,
        "model.audio_encoder.name": type(encoder).__name__,
        "model.audio_encoder.base_channels": encoder.embed_dim // 2 ** (len(encoder.pools) - 1),
        "model.audio_encoder.weights": output,
    }
    if run.model.out_dim == encoder.out_dim:
        del settings["model.out_dim"]
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    note = "its input statistics are those of PANNs' front-end, data.front_end: {name: panns}"
    return f"next: {command_for('main.py', *arguments)}\n{note}"


if __name__ == "__main__":
    main()
