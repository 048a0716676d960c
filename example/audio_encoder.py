"""The trained audio encoder on sound files.

python -m postprocessing.export
python example/audio_encoder.py example/example.wav runs/demo/audio_encoder.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # run from anywhere

from tasks import load_encoder
from utils.cli_utils import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the embedding of each sound file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", nargs="+", metavar="SOUND", help="a sound file")
    parser.add_argument("encoder", help="audio_encoder.json of postprocessing.export, or the folder of a trained run")
    args = parser.parse_args(argv)
    encoder = load_encoder(args.encoder)
    embeddings = encoder.encode_audio(args.sounds)  # (N, E)
    for sound, embedding in zip(args.sounds, embeddings, strict=True):
        print(f"{sound}: {len(embedding)} numbers, norm {np.linalg.norm(embedding):.3f}")
        print(embedding[:8])


if __name__ == "__main__":
    main()
