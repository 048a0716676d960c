"""A trained captioner -> <split>_captions.csv: what it says of every clip or picture of a split.

    python -m postprocessing.captions --conf tasks/captioning.yaml
    python -m postprocessing.captions --conf tasks/captioning.yaml --rerank runs/demo --set generation.method=sample

Uses the best checkpoint of the best trial by default. If killed, it goes on from the last batch when run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from tasks import TrainedRun, command, load_encoder, open_trained_run
from tasks.captioning.run import CaptioningRun, CaptioningRunBase
from utils.artefact_utils import CaptionRow, write_captions
from utils.artefact_utils.caption_parts import CaptionParts
from utils.cli_utils import UserError, positive
from utils.config_utils import to_mapping
from utils.data_utils import CaptionedFrames
from utils.data_utils.caption_rows import describe_some
from utils.data_utils.captioned_frames import FramesBatch
from utils.model_utils import autocast, choose_device
from utils.model_utils.checkpoints import FACTS_FILE
from utils.model_utils.devices import Precision
from utils.report_utils import progress_bar

if TYPE_CHECKING:
    from tasks.captioning.task import CaptioningTask

SCRIPT = "postprocessing.captions"
# The captions of each clip of a batch -> the number of the chosen one of each.
Choose = Callable[[FramesBatch, list[list[str]]], list[int]]


class Options(NamedTuple):
    """How captions are written, as the command line says it; None: as in training."""

    batch_size: int | None  # clips captioned at once
    precision: Precision | None
    rerank: Path | None  # folder of a retrieval run; None: nothing is chosen
    candidates: int  # captions of a clip to choose from

    @classmethod
    def of(cls, args: argparse.Namespace) -> Options:
        """Of the arguments of this script."""
        return cls(args.batch_size, args.precision, args.rerank, args.candidates)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Caption a split, and write the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=positive, help="clips captioned at once (default: training.batch_size)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="default: training.precision")
    parser.add_argument("--rerank", type=Path, metavar="RUN", help="folder of a retrieval run that chooses captions")
    parser.add_argument("--candidates", type=positive, default=4, help="captions of a clip to choose from")
    with open_trained_run(argv, parser, CaptioningRunBase) as (trained, args):
        options = Options.of(args)
        if options.rerank is not None:
            _check_reranking(trained, options.candidates)
        path = caption_split(trained, options)
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


def caption_split(trained: TrainedRun[CaptioningRunBase], options: Options) -> Path:
    """Caption every clip of the split.

    Returns:
        The table, in the trial's folder.
    Raises:
        UserError: a file is missing, broken or made with other settings.
    """
    from tasks.captioning.task import CaptioningTask

    started = time.perf_counter()
    task = trained.task()
    assert isinstance(task, CaptioningTask)
    data = task.data(trained.split)
    path = trained.trial.folder / f"{trained.split}_captions.csv"
    precision = options.precision or trained.run.training.precision
    device = choose_device(trained.run.training.device, precision)
    size = options.batch_size or trained.run.training.batch_size
    parts = CaptionParts(path, _made_with(trained, data, options) | {"precision": precision, "batch_size": size})
    captions = parts.finished()
    choose = None if options.rerank is None else _reranking(options.rerank, trained, data)
    with (
        torch.inference_mode(),
        autocast(device, precision),
        progress_bar(len(data.clips), f"{trained.split}: captions", "clip", initial=len(captions)) as bar,
    ):
        for batch in data.without_captions(np.arange(len(data.clips)), size):
            fids = [data.clips[clip].fid for clip in batch.clips]
            if all(fid in captions for fid in fids):
                continue
            written = _captions_of(task, batch, options.candidates, choose)
            made = dict(zip(fids, written, strict=True))
            parts.add(made)
            captions |= made
            bar.update(len(fids))
    rows = [CaptionRow(c.fid, own, captions[c.fid]) for c, own in zip(data.clips, data.references, strict=True)]
    write_captions(path, rows)
    parts.remove()
    seconds = time.perf_counter() - started
    print(f"{trained.checkpoint}: captioned {len(rows)} clips of '{trained.split}' in {seconds:.0f} s")
    print(*describe_some([clip.fname for clip in data.clips], rows), sep="\n")
    return path


def _captions_of(task: CaptioningTask, batch: FramesBatch, count: int, choose: Choose | None) -> list[str]:
    """The captions of a batch: as `generation:` says, or the chosen ones of `count` candidates each."""
    if choose is None:
        return task.written(batch)
    found = task.candidates(batch, count)
    return [texts[best] for texts, best in zip(found, choose(batch, found), strict=True)]


def _reranking(run: Path, trained: TrainedRun[CaptioningRunBase], data: CaptionedFrames) -> Choose:
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


def _made_with(trained: TrainedRun[CaptioningRunBase], data: CaptionedFrames, options: Options) -> dict[str, object]:
    """What captions depend on, besides how they are computed: weights, frames and how a caption is written."""
    facts = (trained.trial.checkpoint.folder / FACTS_FILE).read_text(encoding="utf-8")
    reranked = None if options.rerank is None else [str(options.rerank.absolute()), options.candidates]
    generation = to_mapping(trained.run)["generation"]
    return {"checkpoint": facts, "data": data.digest(), "generation": generation, "rerank": reranked}


if __name__ == "__main__":
    main()
