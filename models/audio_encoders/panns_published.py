"""Read published weights of PANNs' networks, under the key names of this project.

| file | where the weights are | what differs |
|---|---|---|
| PANNs | `model` | also has the front-end and a classifier |
| DCASE 2023 baseline | a state dict (`bn0`, `cnn.N`, `fc.1`, `fc2`), or in a pair | pools after block 6 |
| MS-CLAP 2022 | `model`, `audio_encoder.base.` | a projection of its own, 44.1 kHz |
| WavCaps | `model`, `audio_encoder.audio_enc.` | pools after block 6, and has no embedding layer `fc1` |

Any other prefix, such as `module.`, is found too: it is what comes before `bn0.weight` and the first convolution.

Source: github.com/qiuqiangkong/audioset_tagging_cnn; DCASE 2023 task 6B baseline, models/audio_encoders.py;
github.com/microsoft/CLAP, msclap/models/audio.py; github.com/XinhaoMei/WavCaps, retrieval/models/cnns.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from models.audio_encoders.cnn6 import CNN6Encoder
from models.audio_encoders.cnn10 import CNN10Encoder
from models.audio_encoders.cnn14 import POOLS, CNN14Encoder, LastPool
from models.audio_encoders.panns import PANNsEncoder
from models.initial_values import InitialValues, initialise
from utils.cli_utils import ArtefactError
from utils.weight_utils import check_values, key_problems, read_foreign

ENCODERS: dict[str, type[PANNsEncoder]] = {
    encoder.__name__: encoder for encoder in (CNN14Encoder, CNN10Encoder, CNN6Encoder)
}
# Layers that the encoders here do not have: the classifier, and the front-ends of PANNs and WavCaps.
_LEFT_OUT = ("spectrogram_extractor.", "logmel_extractor.", "audio_feats_extractor.", "fc_audioset.")
_FIRST = ("conv_block1.conv1.weight", "cnn.0.weight")
_STFT, _MEL = "stft.conv_real.weight", ".melW"
# The baseline's `cnn` is one nn.Sequential with eight modules a block; those at the other positions have no weights.
_POSITIONS = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2"}
_RENAMED = {"fc.1": "fc1", "fc2": "fc_out"}
# Substrings of keys that show which other network a file holds, for messages.
_OTHERS = {
    "audio_branch.": "a CLAP of LAION; name it as a hub does, such as laion/clap-htsat-unfused",
    "audio_model.audio_encoder.": "a CLAP of transformers; name the folder that holds it with its config.json",
    "encoder.blocks.0.attn.": "a Whisper of OpenAI's package; name it as a hub does, such as openai/whisper-base",
    "encoder.layers.0.self_attn.": "a transformer; name the folder that holds it with its config.json",
    "patch_embed.": "an HTS-AT or another transformer on patches",
    "resnet.": "a ResNet of PANNs",
    "pre_conv0.": "a Wavegram network of PANNs",
    "feature_extractor.conv_layers.": "a wav2vec 2.0 or HuBERT; name a folder with config.json",
}


class Published(NamedTuple):
    """The weights of a network of PANNs, with the key names of its encoder, in float32.

    Attributes:
        path: the file.
        kind: the class of the encoder.
        state: the state dict; without `fc_out` or `fc1` if the file has no such layer.
        last_pool: of the network that was trained.
        fft_size: of the front-end in the file; None: there is none.
        mel: (bins, F) mel filters of the front-end in the file; None: there are none.
        left_out: the top-level names of the keys that were ignored.
        of_baseline: whether the keys are those of the DCASE 2023 baseline.
    """

    path: Path
    kind: type[PANNsEncoder]
    state: dict[str, Tensor]
    last_pool: LastPool
    fft_size: int | None
    mel: Tensor | None
    left_out: tuple[str, ...]
    of_baseline: bool

    @property
    def n_mels(self) -> int:
        """F, bands of the front-end."""
        return len(self.state["bn0.weight"])

    @property
    def base_channels(self) -> int:
        """Channels of the first block."""
        return len(self.state["conv_block1.conv1.weight"])

    @property
    def out_dim(self) -> int | None:
        """E of the last layer in the file; None: there is none."""
        return len(self.state["fc_out.weight"]) if "fc_out.weight" in self.state else None

    @property
    def pools(self) -> tuple[int, ...]:
        """The pooling factor of each block."""
        return POOLS[self.last_pool] if self.kind is CNN14Encoder else self.kind.pools

    def drawn(self, out_dim: int) -> tuple[str, ...]:
        """Return the names of the layers that `build` has to initialise randomly."""
        have_head = self.out_dim == out_dim
        return tuple(["fc1"] * ("fc1.weight" not in self.state) + ["fc_out"] * (not have_head))

    def build(self, out_dim: int, seed: int = 0, init: InitialValues = "xavier_uniform") -> PANNsEncoder:
        """Build the encoder with these weights.

        Args:
            out_dim: E; the last layer in the file is used if it has this width.
            seed: for the layers that the file does not have.
            init: their initial values.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = self.kind(out_dim, self.n_mels, self.base_channels, pools=self.pools)
            initialise(encoder.fc1, init)
            initialise(encoder.fc_out, init)
        taken = {key: value for key, value in self.state.items() if key.split(".")[0] not in self.drawn(out_dim)}
        encoder.load_state_dict(encoder.state_dict() | taken)
        return encoder


def read_published(path: Path, name: str | None, repair: str) -> Published:
    """Read the weights of a network of PANNs from a file in any of the layouts above.

    Args:
        path: a file of torch.save or safetensors.
        name: one of `ENCODERS`; None: the one with these keys.
        repair: what to do about a bad file, for messages.
    Raises:
        ArtefactError: see `utils.weight_utils.read_foreign`; or the file has no such network, other keys or shapes, or
            values that are not finite.
    """
    state, notes = read_foreign(path, repair)
    prefix = _prefix(state, path, repair)
    branch = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    of_baseline = _FIRST[1] in branch
    if of_baseline:
        branch, name = _renamed(branch), name or CNN14Encoder.__name__
    found = _completed({key: value for key, value in branch.items() if not key.startswith(_LEFT_OUT)})
    kind = _recognised(found, name, path, repair)
    _check_shapes(found, kind, path, repair)
    check_values(found, path, repair)
    pools_again = of_baseline or any(key.startswith("audio_feats_extractor.") for key in branch)
    own_note = notes.get("last_pool") if str(notes.get("encoder")) in ENCODERS else None
    stft = next((value for key, value in branch.items() if key.endswith(_STFT) and value.dim() == 3), None)
    outside = {key.removeprefix(prefix).split(".")[0] for key in branch if key not in found}
    outside |= {key.split(".")[0] for key in state if not key.startswith(prefix)}
    return Published(
        path,
        kind,
        found,
        "dcase2023" if pools_again or own_note == "dcase2023" else "panns",
        None if stft is None else stft.shape[2],
        next((value.float() for key, value in branch.items() if key.endswith(_MEL) and value.dim() == 2), None),
        tuple(sorted(outside)),
        of_baseline,
    )


def _prefix(state: Mapping[str, Tensor], path: Path, repair: str) -> str:
    """Return the prefix of the keys of the one network of PANNs in a file."""
    ends = [key.removesuffix("bn0.weight") for key in state if f".{key}".endswith(".bn0.weight")]
    prefixes = [prefix for prefix in ends if any(prefix + first in state for first in _FIRST)]
    if len(prefixes) == 1:
        return prefixes[0]
    if prefixes:
        raise ArtefactError(f"{path}: holds {len(prefixes)} networks of PANNs, under {', '.join(prefixes)}; {repair}")
    others = [kind for substring, kind in _OTHERS.items() if any(substring in key for key in state)]
    what = f"it holds {others[0]}" if others else f"it holds {', '.join(list(state)[:3])}"
    raise ArtefactError(f"{path}: holds no CNN6, CNN10 or CNN14 of PANNs: {what}; {repair}")


def _renamed(branch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of the DCASE 2023 baseline to PANNs' names; unknown keys stay as they are."""
    renamed = {}
    for key, value in branch.items():
        layer, _, kind = key.rpartition(".")
        number = layer.removeprefix("cnn.")
        # isdigit alone also accepts "²", and int() of thousands of digits raises an error
        if number.isascii() and number.isdigit() and len(number) < 4 and int(number) % 8 in _POSITIONS:
            layer = f"conv_block{int(number) // 8 + 1}.{_POSITIONS[int(number) % 8]}"
        renamed[f"{_RENAMED.get(layer, layer)}.{kind}"] = value
    return renamed


def _completed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights to float32, and add missing `num_batches_tracked`, which many programs do not save.

    The counter only matters for batch normalisation without momentum, which no network here has.
    """
    complete = {}
    for key, value in state.items():
        counter = key.endswith("num_batches_tracked")
        complete[key] = value.detach().to(torch.int64 if counter else torch.float32)
        if key.endswith("running_mean"):
            name = f"{key.removesuffix('running_mean')}num_batches_tracked"
            complete.setdefault(name, torch.tensor(0))
    return complete


def _recognised(state: Mapping[str, Tensor], name: str | None, path: Path, repair: str) -> type[PANNsEncoder]:
    """Return the encoder with the keys of a checkpoint."""
    keys = {key: torch.empty(0) for key in state if not key.startswith("fc_out.")}  # shapes are checked later
    with torch.device("meta"):  # only the keys are needed: this takes no memory and no random numbers
        wanted = {
            kind: {key: torch.empty(0) for key in kind(out_dim=1).state_dict() if not key.startswith(_optional(state))}
            for kind in ([ENCODERS[name]] if name else ENCODERS.values())
        }
    nearest = min(wanted, key=lambda kind: len(wanted[kind].keys() ^ keys.keys()))
    _refuse(key_problems(wanted[nearest], keys), nearest, path, repair)
    return nearest


def _optional(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the layers that a file may lack as a whole."""
    return ("fc_out.",) if any(key.startswith("fc1.") for key in state) else ("fc_out.", "fc1.")


def _check_shapes(state: Mapping[str, Tensor], kind: type[PANNsEncoder], path: Path, repair: str) -> None:
    """Compare the shapes with those of an encoder of the file's own width, before memory is allocated for one."""
    sizes = []
    for key in ("fc_out.weight", "bn0.weight", "conv_block1.conv1.weight"):  # E, F, channels of the first block
        shape = state[key].shape if key in state else ()
        sizes.append(max([*shape, 1][0], 1))  # of a tensor without axes 1: the comparison below reports it
    try:
        with torch.device("meta"):
            wanted = kind(*sizes).state_dict()
    except (ValueError, RuntimeError) as error:  # too few bands; more channels than torch can address
        raise ArtefactError(f"{path}: {error}; {repair}") from error
    held = {key: value for key, value in wanted.items() if key in state or not key.startswith(("fc1.", "fc_out."))}
    _refuse(key_problems(held, state), kind, path, repair)


def _refuse(problems: str, kind: type[PANNsEncoder], path: Path, repair: str) -> None:
    if problems:
        raise ArtefactError(f"{path}: not a PANNs checkpoint of {kind.__name__}: {problems}; {repair}")
