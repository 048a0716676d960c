"""Sizes and a seed -> <features>/small_wav2vec2: a wav2vec 2.0 of random weights, where no pretrained one is at hand.

    python -m preprocessing.small_wav2vec2 --conf tasks/classification.yaml

As transformers saves its own (config.json, model.safetensors, preprocessor_config.json), 16 kHz, 50 frames a second:
name the folder in model.audio_encoder.model, with freeze_feature_encoder: false, since nothing of it is trained. It
takes the path of facebook/wav2vec2-base through every stage in seconds, without a download, and learns easy categories
from scratch; it knows nothing of sounds, and is no substitute for a pretrained one. The same sizes and seed give the
same weights; a folder that holds anything else is not replaced.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import Commands, command, load_run
from tasks.base import AudioRun
from utils.artefact_utils import ForeignFileError, one_at_a_time, write_json
from utils.cli_utils import UserError, positive, whole
from utils.config_utils import read_json

if TYPE_CHECKING:
    from transformers import Wav2Vec2Config

SCRIPT = "preprocessing.small_wav2vec2"
FOLDER = "small_wav2vec2"  # in data.features
NOTES = "small_wav2vec2.json"  # in the folder: what the network was made of
FORMAT_VERSION = 1
_HEAD_WIDTH = 16


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the network."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help=f"to write (default: {FOLDER} in data.features)")
    parser.add_argument("--hidden-size", type=positive, default=64, help="a multiple of 16, to 1024 (default 64)")
    parser.add_argument("--layers", type=positive, default=2, help="of the transformer, to 24 (default 2)")
    parser.add_argument("--seed", type=whole, default=0, help="of the weights (default 0)")
    run, args = load_run(argv, parser, AudioRun)
    if args.hidden_size % _HEAD_WIDTH or args.hidden_size > 1024:
        raise UserError(f"--hidden-size {args.hidden_size}: expected a multiple of {_HEAD_WIDTH}, to 1024")
    if args.layers > 24:
        raise UserError(f"--layers {args.layers}: expected 1 to 24")
    commands = Commands.of(args, run.script_of)
    folder: Path = (args.folder or run.data.features / FOLDER).expanduser()
    notes = {"format_version": FORMAT_VERSION, **{key: vars(args)[key] for key in ("hidden_size", "layers", "seed")}}
    with one_at_a_time(folder.parent, f"{folder.name} network"):
        if not folder.exists():
            count = _write(folder, small_config(args.hidden_size, args.layers), args.seed, notes)
            print(f"wrote {folder}: {count / 1e6:.2f} M random weights")
        elif _found_notes(folder) == notes:
            print(f"reused {folder}: it is of the same sizes and seed")
        else:
            raise ForeignFileError(
                f"{folder}: holds another network, which is not replaced; remove it, or name another folder: --folder"
            )
    settings = f"{{name: Wav2Vec2Encoder, model: {folder}, freeze_feature_encoder: false}}"
    print(f"use it:  model.audio_encoder: {settings}")
    print(f"next: {commands.line('main.py')}")


def small_config(hidden_size: int, layers: int) -> Wav2Vec2Config:
    """The configuration of a small network, for training from random weights.

    Four convolutions in place of seven, of the same 320 samples a frame: most of the time of a narrow network is spent
    in the first ones. Layer norm, as in wav2vec2-large: clips of different length are computed together, and it trains
    from random weights. Neither dropout nor masks, which a network of this size has no need of.

    Args:
        hidden_size: of the transformer, a multiple of 16; the convolutions have as many channels, the first two half.
        layers: of the transformer.
    """
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // _HEAD_WIDTH,
        intermediate_size=2 * hidden_size,
        conv_dim=[hidden_size // 2, hidden_size // 2, hidden_size, hidden_size],
        conv_kernel=[20, 8, 8, 4],
        conv_stride=[10, 4, 4, 2],
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=4,
        apply_spec_augment=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
    )


def _found_notes(folder: Path) -> dict[str, Any] | None:
    """The notes of a folder that is there; None: this script did not make it."""
    try:
        return dict(read_json(folder / NOTES))
    except (OSError, ValueError, TypeError):
        return None


def _write(folder: Path, config: Wav2Vec2Config, seed: int, notes: Mapping[str, Any]) -> int:
    """Write beside the folder's place, then rename. Returns: the number of weights."""
    import torch
    import transformers.utils.logging as transformers_logging
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    transformers_logging.disable_progress_bar()
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):  # of killed processes: only one is at work
        shutil.rmtree(leftover)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Wav2Vec2Model(config)
    beside = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        network.save_pretrained(beside)
        # with layer norm, transformers' models take a padding mask
        Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(beside)
        write_json(beside / NOTES, notes)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # nothing is there after the rename
    return sum(parameter.numel() for parameter in network.parameters())


if __name__ == "__main__":
    main()
