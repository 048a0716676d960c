"""A trained run -> the scores of every caption of a split against every clip.

    python -m postprocessing.xmodal_scores

Uses the best checkpoint of the best trial by default; every clip and caption is embedded once.
Writes <split>_xmodal_scores.hdf5 in the trial's folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import torch

from tasks import TrainedRun, command, open_trained_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.embedding import not_finite
from tasks.retrieval.scores import score_file, trained_dual_encoder
from utils.artefact_utils.retrieval import write_scores
from utils.cli_utils import check_free_disk
from utils.metric_utils.scores import EmbeddingScores, NonFiniteEmbeddingError

SCRIPT = "postprocessing.xmodal_scores"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Embed a split, score every caption against every clip, write the matrix."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    with open_trained_run(argv, parser, DualEncoderRun) as (trained, _):
        score_split(trained)
        print(f"next: {trained.command_for('postprocessing.xmodal_retrieval')}")


def score_split(trained: TrainedRun[DualEncoderRun]) -> None:
    """Write the score matrix of the split.

    Raises:
        UserError: an embedding is not finite, or the disk is too small.
    """
    task = trained_dual_encoder(trained)
    with torch.inference_mode():
        outputs = task.outputs(trained.split)
    check_free_disk(score_file(trained), 4 * len(outputs.tids) * len(outputs.fids), "output_root")
    try:
        source: EmbeddingScores = task.scores(outputs)
    except NonFiniteEmbeddingError as error:
        data = task.data(trained.split)
        name = data.captions[error.row].raw_text if error.side == "query" else data.clips[error.row].fname
        raise not_finite(trained.checkpoint, name, error.value) from error
    left_out = sorted(task.data(trained.split).left_out)
    write_scores(
        score_file(trained),
        {"tid": outputs.tids, "fid": outputs.fids},
        source.blocks(),
        {"text": outputs.text, "audio": outputs.audio},
        {"split": trained.split, "checkpoint": trained.checkpoint, "left_out": json.dumps(left_out)},
    )
    print(f"{trained.checkpoint}: scored {len(outputs.tids)} captions x {len(outputs.fids)} clips of '{trained.split}'")
    print(f"wrote {trained.publish(score_file(trained))}")


if __name__ == "__main__":
    main()
