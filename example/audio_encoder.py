"""The trained audio encoder on one sound file.

python -m postprocessing.export
python example/audio_encoder.py example/example.wav runs/demo/audio_encoder.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))  # run from anywhere

from models.audio_encoders import AudioEncoderSpec
from utils.audio_utils import AudioError, FrontEnd, log_mel, read_wave
from utils.cli_utils import UserError, command, short_repr
from utils.config_utils import read_json
from utils.pretrained_utils import reason_of
from utils.weight_utils import load_exactly, read_weights

_REPAIR = "write both files again: python -m postprocessing.export"
_MAX_WIDTH = 2**16


def load_encoder(facts_file: Path) -> tuple[nn.Module, FrontEnd]:
    """The network and what it takes, from audio_encoder.json and the .pth beside it."""
    if not facts_file.is_file():
        raise UserError(f"{facts_file}: no such file; {_REPAIR}")
    try:
        facts: dict[str, Any] = read_json(facts_file)
        front_end = FrontEnd(**facts["front_end"])
        spec = TypeAdapter(AudioEncoderSpec).validate_python({**facts["audio_encoder"], "weights": None})
        if spec.input != "logmel":
            raise UserError(f"{facts_file}: {spec.name} takes a {spec.input}, this example only log-mels")
        if type(facts["out_dim"]) is not int or not 0 < facts["out_dim"] <= _MAX_WIDTH:
            raise ValueError(f"out_dim is {short_repr(facts['out_dim'])}, expected 1 to {_MAX_WIDTH}")
        encoder = spec.build(facts["out_dim"], front_end.n_mels).eval()
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise UserError(f"{facts_file}: is no exported audio encoder: {reason_of(error)}; {_REPAIR}") from error
    weights = facts_file.with_suffix(".pth")
    load_exactly(encoder, read_weights(weights, _REPAIR).state, weights)
    return encoder, front_end


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the embedding of a sound file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", type=Path, help="a sound file")
    parser.add_argument("encoder", type=Path, help="audio_encoder.json of postprocessing.export")
    args = parser.parse_args(argv)
    encoder, front_end = load_encoder(args.encoder)
    try:
        wave = read_wave(args.sound, front_end.sample_rate_hz)  # (S,)
    except AudioError as error:
        raise UserError(f"{args.sound}: {error}; name a sound file") from error
    features = torch.from_numpy(log_mel(wave, front_end))  # (T, F)
    with torch.inference_mode():
        embedding = encoder(features[None], torch.tensor([len(features)]))[0]  # (E,)
    print(f"{args.sound}: {len(features)} frames -> {len(embedding)} numbers, norm {embedding.norm():.3f}")
    print(embedding[:8])


if __name__ == "__main__":
    main()
