"""Captions -> clip_embeds.pkl: a vector (E,) float32 for every tid, by the text encoder of a CLIP.

    python -m preprocessing.clip_embeddings --conf tasks/clap_projection.yaml

preprocessing.text_embeddings, with a line where the model is no CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence

from preprocessing.text_embeddings import embed_captions
from tasks import command

SCRIPT = "preprocessing.clip_embeddings"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the embeddings of every caption of every split."""
    embed_captions(argv, SCRIPT, __doc__, expects_clip=True)


if __name__ == "__main__":
    main()
