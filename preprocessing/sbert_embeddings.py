"""Captions -> sbert_embeds.pkl: a vector (E,) float32 for every tid, by a sentence-transformers model.

    python -m preprocessing.sbert_embeddings

The name that the DCASE 2023 baseline has for preprocessing.text_embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence

from preprocessing.text_embeddings import embed_captions
from tasks import command

SCRIPT = "preprocessing.sbert_embeddings"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the embeddings of every caption of every split."""
    embed_captions(argv, SCRIPT, __doc__)


if __name__ == "__main__":
    main()
