"""Captions -> sbert_embeds.pkl: a vector (E,) float32 for every tid, by a sentence-transformers model.

    python -m preprocessing.sbert_embeddings

Run again, it embeds only what is missing; a kill loses at most one chunk of captions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from models.frozen.caption_vectors import write_caption_vectors
from tasks import load_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from utils.artefact_utils import read_text_table
from utils.cli_utils import command, command_for, positive
from utils.data_utils import making
from utils.model_utils import choose_device

SCRIPT = "preprocessing.sbert_embeddings"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the embeddings of every caption of every split."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=positive, default=64, help="captions a batch (default 64)")
    run, args = load_run(argv, parser, DualEncoderRun)
    data, device = run.data, choose_device(run.training.device, "fp32")
    script = command_for(data.dataset_script)
    captions = [c for split in data.splits.names() for c in read_text_table(data.text_table(split), script)]
    model = data.text_embeddings.model
    with making(data, "caption vectors"):
        write_caption_vectors(data.text_vectors, captions, model, command_for(SCRIPT), args.batch_size, device)
    print(f"next: {command_for(run.next_script(SCRIPT))}")


if __name__ == "__main__":
    main()
