"""A trained captioner -> <split>_captions.csv: what it says of every clip or picture of a split.

    python -m postprocessing.captions --conf tasks/captioning.yaml
    python -m postprocessing.captions --conf tasks/captioning.yaml --rerank runs/demo --set generation.method=sample

Uses the best checkpoint of the best trial by default. If killed, it goes on from the last batch when run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tasks import TrainedRun, command, load_encoder, open_trained_run
from tasks.captioning.run import CaptioningRun, CaptioningRunBase
from tasks.captioning.written import CaptionOptions, Choose, Reranking, caption_split
from utils.cli_utils import UserError, positive
from utils.data_utils import CaptionedFrames
from utils.data_utils.captioned_frames import FramesBatch

SCRIPT = "postprocessing.captions"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Caption a split, and write the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=positive, help="clips captioned at once (default: training.batch_size)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="default: training.precision")
    parser.add_argument("--rerank", type=Path, metavar="RUN", help="folder of a retrieval run that chooses captions")
    parser.add_argument("--candidates", type=positive, default=4, help="captions of a clip to choose from")
    with open_trained_run(argv, parser, CaptioningRunBase) as (trained, args):
        reranking = None
        if args.rerank is not None:
            _check_reranking(trained, args.candidates)
            reranking = Reranking(args.rerank, args.candidates, partial(_reranker, args.rerank, trained))
        path = caption_split(trained, CaptionOptions(args.batch_size, args.precision, reranking))
        print(f"wrote {trained.publish(path)}")
        print(f"next: {trained.command_for(trained.run.script_of('caption-metrics'))}")


def _check_reranking(trained: TrainedRun[CaptioningRunBase], count: int) -> None:
    """Refuse what leaves nothing to choose from, before anything is loaded.

    Raises:
        UserError: pictures, which no retrieval run of this project embeds; or too few captions a clip.
    """
    generation = trained.run.generation
    if not isinstance(trained.run, CaptioningRun):
        raise UserError(f"--rerank: a retrieval run embeds sounds, and task is {trained.run.task}; leave it out")
    if generation.method == "greedy":
        raise UserError(
            "--rerank: generation.method is greedy, which writes one caption of a clip; to choose among several: "
            "--set generation.method=sample"
        )
    if generation.method == "beam" and count > generation.num_beams:
        raise UserError(
            f"--candidates: found {count}, generation.num_beams is {generation.num_beams}; ask for fewer, or more beams"
        )


def _reranker(run: Path, trained: TrainedRun[CaptioningRunBase], data: CaptionedFrames) -> Choose:
    """Choose the caption whose embedding is nearest to that of the sound, by a trained retrieval run.

    Args:
        run: the folder of its experiment.
        trained: the captioner.
        data: the split.
    """
    encoder = load_encoder(run)
    root = trained.run.data.root

    def choose(batch: FramesBatch, found: list[list[str]]) -> list[int]:
        """Choose one caption of each clip; see `Choose`."""
        sounds = encoder.encode_audio([root / data.clips[clip].path for clip in batch.clips])
        # an empty caption says nothing; one that is chosen after all is the only one
        texts = [caption or " " for captions in found for caption in captions]
        embedded = encoder.encode_text(texts).reshape(len(found), -1, encoder.out_dim)
        best = []
        for sound, captions, own in zip(sounds, embedded, found, strict=True):
            ranked = encoder.search(sound[None], captions, len(own)).indices[0].tolist()
            best.append(next((number for number in ranked if own[number]), 0))
        return best

    return choose


if __name__ == "__main__":
    main()
