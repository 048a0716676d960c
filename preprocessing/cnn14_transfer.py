"""A published checkpoint of a CNN of PANNs -> initial weights of this project's audio encoders.

    python -m preprocessing.cnn14_transfer                        download CNN14, write CNN14_<out_dim>.pth
    python -m preprocessing.cnn14_transfer Cnn10_mAP=0.380.pth    the same from a file at hand

FILE may also come from the DCASE 2023 baseline (audio_encoder.pth, CNN14_300.pth, a trial's `checkpoint`), from
MS-CLAP 2022 or WavCaps, or hold such a network under any prefix, as torch.save or safetensors. The file's own last
layer is used if it has the width of the run; else `fc_out` is drawn from the seed. A classifier and the front-end that
the checkpoint carries are left out; the front-end's mel filters must be those of data.front_end.

With --as-trial, FILE is a `checkpoint` of the baseline's training: both its encoders also become a trial of the YAML's
experiment, which the scripts of stage 3 take as one that was trained here.

Source: Kong et al. 2020, "PANNs"; checkpoints: https://zenodo.org/record/3987831.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

from models.audio_encoders.panns import PANNsSpec
from models.audio_encoders.panns_front_ends import check_front_end, front_end_of
from models.audio_encoders.panns_published import ENCODERS, Published, read_published
from models.initial_values import InitialValues
from tasks import Commands, command, load_run
from tasks.base import EncoderRun
from tasks.retrieval.baseline_trial import write_baseline_trial
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.runs import require_kind
from utils.artefact_utils import remove_leftovers, replacing
from utils.cli_utils import ArtefactError, UserError, positive
from utils.cli_utils.repairs import make
from utils.report_utils import progress_bar
from utils.weight_utils import check_file, read_foreign, write_weights

SCRIPT = "preprocessing.cnn14_transfer"
FOLDER = Path("pretrained_models")

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

_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 60


class Source(NamedTuple):
    """A checkpoint on this disk: its file, the URL or path it was named by, its SHA-256."""

    path: Path
    origin: str
    sha256: str


class Drawn(NamedTuple):
    """What decides the layers that the checkpoint does not hold: the width E, the seed, and how they are drawn."""

    out_dim: int
    seed: int
    init: InitialValues


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the initial weights of an audio encoder from a published checkpoint."""
    run, options = load_run(argv, _parser(), EncoderRun)
    dual_encoder = require_kind(run, DualEncoderRun, str(options.conf)) if options.as_trial else None
    commands = Commands.of(options, run.script_of)
    origin = options.checkpoint or URLS[options.encoder or "CNN14Encoder"]
    source = fetch(origin, options.sha256 or KNOWN_SHA256.get(origin), FOLDER / "downloads")
    print(f"{source.path}: sha256 {source.sha256}")
    published = read_published(source.path, options.encoder, _another_file())
    if not options.any_front_end:
        check_front_end(published, run.data.front_end, "take another file, or take it all the same: --any-front-end")
    out_dim = options.out_dim or run.last_layer(published.out_dim)
    if out_dim is None:
        raise UserError("model.out_dim: found null, expected the width of the last layer; give it with --out-dim N")
    spec = run.audio_encoder
    drawn = Drawn(out_dim, options.seed, spec.init if isinstance(spec, PANNsSpec) else "xavier_uniform")
    output = options.output or FOLDER / f"{published.kind.__name__.removesuffix('Encoder')}_{out_dim}.pth"
    written = save(published, drawn, source, output)
    print(describe(published, out_dim))
    print(f"{output}: {'written' if written else 'reused, it was made from the same checkpoint'}")
    print(usage(published, out_dim, output, run, commands))
    if dual_encoder is not None:
        trial = write_baseline_trial(dual_encoder, published, source.sha256, _another_file())
        line = commands.make("scores", ["--trial", trial.name])
        print(f"{trial}: a trial with both encoders\nnext: {line}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    default = URLS["CNN14Encoder"].replace("%", "%%")  # argparse formats help texts
    where = f"file or http(s) URL; default: {default}, or the one of --encoder"
    parser.add_argument("checkpoint", nargs="?", help=where)
    parser.add_argument("--encoder", choices=ENCODERS, help="default: CNN14Encoder, or what CHECKPOINT is")
    parser.add_argument(
        "--out-dim",
        type=positive,
        metavar="N",
        help="default: that of CHECKPOINT's last layer, or model.out_dim; of a classifier its categories",
    )
    parser.add_argument("--sha256", type=_sha256, metavar="HEX", help="what the checkpoint's SHA-256 must be")
    parser.add_argument("--seed", type=int, default=0, help="of the new last layer (default %(default)s)")
    parser.add_argument("--as-trial", action="store_true", help="also make a trial of a baseline's checkpoint")
    parser.add_argument("--any-front-end", action="store_true", help="take weights of another front-end too")
    parser.add_argument("--output", type=Path, help=f"default: {FOLDER}/<CNN14>_<out_dim>.pth")
    return parser


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"expected 64 hexadecimal digits, got {text}")
    return text.lower()


def _another_file() -> str:
    return f"name a PANNs checkpoint, or none to download CNN14: {make('initial-weights')}"


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
        check_file(path, _another_file())  # before the digest: a pipe would wait for ever
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
        again = make("initial-weights", path.name)
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


def save(published: Published, drawn: Drawn, source: Source, output: Path) -> bool:
    """Write the weights file, unless `output` was made from the same checkpoint, encoder and drawn layers.

    Returns:
        Whether it was written; False: it exists already.
    Raises:
        ArtefactError: `output` is a whole file that this script did not write.
    """
    notes = {
        "encoder": published.kind.__name__,
        "sha256": source.sha256,
        "last_pool": published.last_pool,
        **drawn._asdict(),
    }
    found = _notes_of(output)
    if found is not None and all(repr(found.get(key)) == repr(value) for key, value in notes.items()):
        return False
    if found is not None and not found.keys() >= {"format_version", "encoder"}:
        raise ArtefactError(f"{output}: was not written here and is left alone; name another file with --output")
    remove_leftovers(output)
    write_weights(output, published.build(*drawn).state_dict(), {**notes, "source": source.origin})
    return True


def _notes_of(output: Path) -> dict[str, Any] | None:
    """How a weights file was made; empty in one of another program, None where it is missing or broken."""
    try:
        return read_foreign(output, "").notes
    except ArtefactError:
        return None


def describe(published: Published, out_dim: int) -> str:
    """What was taken from a checkpoint, what was left out and what was drawn, in a line."""
    left_out = f", left out: {', '.join(published.left_out)}" if published.left_out else ""
    layers = published.drawn(out_dim)
    drawn = f", drawn from the seed: {', '.join(layers)}" if layers else ", the last layer is the file's own"
    return f"{published.kind.__name__}, last_pool {published.last_pool}{left_out}{drawn}"


def usage(published: Published, out_dim: int, output: Path, run: EncoderRun, commands: Commands) -> str:
    """The command that trains from the weights file."""
    settings: dict[str, object] = {
        **run.settings_of_last_layer(out_dim),
        "model.audio_encoder.name": published.kind.__name__,
        "model.audio_encoder.base_channels": published.base_channels,
        "model.audio_encoder.last_pool": published.last_pool,
        "model.audio_encoder.weights": output,
    }
    if published.last_pool == "panns":  # the default; the DCASE 2023 baseline pools more from the same weights
        del settings["model.audio_encoder.last_pool"]
    arguments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    trained_on = front_end_of(published, run.data.front_end)
    line = f"next: {commands.line('main.py', *arguments)}"
    if trained_on is None:
        return line
    front_end = trained_on.describe() if trained_on.name == "custom" else f"{{name: {trained_on.name}}}"
    return f"{line}\nits input statistics are those of data.front_end: {front_end}"


if __name__ == "__main__":
    main()
