"""A captioner with its data, losses and metrics: only the adapter learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.captioner import Captioner
from models.frozen.language import LANGUAGE_MODEL_KEY, FrozenLanguageModel, load_frozen_language
from models.generation import candidates, generate, log_likelihood
from tasks.captioning.fitting import ClipsToFit
from tasks.captioning.run import CaptioningRunBase
from tasks.captioning.sample import Measured, Sample, measure
from utils.cli_utils import ArtefactError, ConfigError, printable
from utils.cli_utils.repairs import make
from utils.data_utils import CaptionedFrames, TrainLoader
from utils.data_utils.captioned_frames import FramesBatch
from utils.data_utils.sampling import Ints
from utils.model_utils import WEIGHT, DivergedError, Loader, on_device
from utils.model_utils.ranks import of_this_rank, share_out

Batch = dict[str, Tensor]


class CaptioningOutputs(NamedTuple):
    """What a captioner makes of a split."""

    loss: float  # cross-entropy, the sum over all tokens of all captions
    tokens: int  # how many those are
    sample: Sample | None  # captions of some clips; None: not of this split, or not in this epoch
    input_tokens: Tensor  # (N,) int64, what the adapter makes of each clip, learned prompt tokens included


class CaptioningTask:
    """A captioner with its data, losses and metrics."""

    def __init__(self, run: CaptioningRunBase, split: str) -> None:
        """Load the language model, open a split, whose frames set the input width, and build the adapter.

        Raises:
            UserError: a file is missing, broken or made with other settings, or does not fit the language model.
        """
        self._run = run
        self._splits: dict[str, CaptionedFrames] = {}
        self._loader: TrainLoader | None = None
        self._is_collapsed = False
        wanted = run.model.language_model
        if run.makes_language_model and not run.data.language_model.is_dir():
            raise ArtefactError(
                f"{LANGUAGE_MODEL_KEY}: {wanted.name}: no such folder; write it: {make('language-model')}"
            )
        self.language: FrozenLanguageModel = load_frozen_language(
            wanted.name, LANGUAGE_MODEL_KEY, getattr(torch, wanted.dtype)
        )
        opened = self._open(split)
        adapter = run.model.adapter.build(opened.frames.width, self.language.hidden_size, self.language.embedding_scale)
        self.captioner = Captioner(adapter, self.language, wanted.prompt, wanted.chat, run.model.lora)
        self._refuse_too_long(opened)
        if opened.name == run.data.splits.train and adapter.fitted_on != "nothing":
            adapter.fit(ClipsToFit(opened, self.language, run.training.batch_size))

    def model(self) -> Captioner:
        """The captioner; its language model is frozen, and not in checkpoints."""
        return self.captioner

    def data(self, role: str) -> CaptionedFrames:
        """The split of `train`, `val` or `eval`, or one by its own name; opened when it is first needed."""
        name = dict(self._run.data.splits).get(role, role)
        if name not in self._splits:
            self._refuse_too_long(self._open(name))
        return self._splits[name]

    def _open(self, role: str) -> CaptionedFrames:
        name = dict(self._run.data.splits).get(role, role)
        opened = CaptionedFrames(self._run.data, name, self.language.caption_ids, self.language.unknown)
        for other in self._splits.values():
            check_alike(other, opened)
        self._splits[name] = opened
        return opened

    def _refuse_too_long(self, split: CaptionedFrames) -> None:
        """Refuse a split whose longest input and longest caption have no room in the language model.

        Raises:
            ConfigError: they have none; nothing has been computed yet.
        """
        longest = int(split.frames.lengths.argmax())
        frames = int(split.frames.lengths[longest])
        inputs = self.captioner.input_tokens(frames)
        room = max(split.longest_caption, self._run.generation.max_new_tokens)
        if inputs + room > self.language.context:
            raise ConfigError(
                f"model.adapter: {split.clips[longest].fname} of '{split.name}' has {frames} frames, which become "
                f"{inputs} input tokens with the prompt, and a caption may have {room}; {self.language.name} takes "
                f"{self.language.context} together: choose an adapter of fewer tokens, a shorter prompt, or lower "
                "generation.max_new_tokens"
            )

    def loaders(self) -> Mapping[str, Loader]:
        """The training batches."""
        training, split = self._run.training, self.data("train")
        sampler = split.sampler(training.batch_size, training.seed, training.sampling)
        self._loader = TrainLoader(split, sampler, self._run.data.worker_processes)
        return {"train": self._loader}

    def losses(self, batch: Batch) -> Batch:
        """Cross-entropy, the mean over the batch's tokens, and how many those are."""
        total, tokens = self._losses(batch)
        return {"loss": total / tokens, WEIGHT: tokens}

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        total, tokens = self.captioner.losses(batch["frames"], batch["lengths"], batch["ids"], batch["id_lengths"])
        return total, tokens.to(total.dtype)

    def outputs(self, split: str) -> CaptioningOutputs:
        """The loss over every caption of a split and, of validation, captions of a few clips."""
        data = self.data(split)
        loss, tokens = 0.0, 0

        def sums(batch: Batch) -> tuple[float, int]:
            total, count = self._losses(batch)
            return total.item(), int(count)

        for total, count in share_out(on_device(data.pairs(self._run.training.batch_size), self._device), sums):
            loss += total
            tokens += count
        sample = self._sample(data) if self._is_due(split) else None
        inputs = self.captioner.adapter.token_count(torch.from_numpy(data.frames.lengths))
        return CaptioningOutputs(loss, tokens, sample, inputs)

    def _is_due(self, split: str) -> bool:
        training = self._run.training
        return split == "val" and training.sample_clips > 0 and self._epoch % training.sample_every == 0

    @property
    def _epoch(self) -> int:
        """Of training; 0 where there is none."""
        return 0 if self._loader is None else self._loader.epoch

    def _sample(self, data: CaptionedFrames) -> Sample:
        """Caption clips that are evenly spaced in the split, the same ones every time."""
        clips = data.evenly_spaced(self._run.training.sample_clips)
        references = data.references
        return Sample(self.captions(data, clips), [references[clip] for clip in clips])

    def captions(self, data: CaptionedFrames, clips: Ints) -> list[str]:
        """Caption clips, as `generation:` says.

        Args:
            data: the split.
            clips: rows of its clips.
        Returns:
            A caption for each, in the order of `clips`.
        """
        found: dict[int, str] = {}
        batches = of_this_rank(data.without_captions(clips, self._run.training.batch_size))
        for rows, captions in share_out(batches, lambda batch: (batch.clips.tolist(), self.written(batch))):
            found.update(zip(rows, captions, strict=True))
        return [found[clip] for clip in clips.tolist()]

    def written(self, batch: FramesBatch) -> list[str]:
        """Caption the clips of a batch, as `generation:` says."""
        return generate(self.captioner, batch.frames.to(self._device), batch.lengths, self._run.generation)

    def candidates(self, batch: FramesBatch, count: int) -> list[list[str]]:
        """Write `count` captions of each clip of a batch."""
        return candidates(self.captioner, batch.frames.to(self._device), batch.lengths, self._run.generation, count)

    def log_likelihoods(self, batch: FramesBatch, captions: Sequence[str]) -> Tensor:
        """Compute the (B, C) float32 log-probability of each caption, its end included, given each clip of a batch."""
        return log_likelihood(self.captioner, batch.frames.to(self._device), batch.lengths, captions).sums

    def metrics(self, outputs: CaptioningOutputs) -> dict[str, float]:
        """The mean loss over tokens, input tokens of a clip and, of a sample, CIDEr-D and the use of the input."""
        loss = outputs.loss / outputs.tokens
        if not math.isfinite(loss):
            raise DivergedError(f"the validation loss is {loss}; lower optimizer.lr, or use training.precision=fp32")
        tokens = outputs.input_tokens
        found = {"val_loss": loss, "input_tokens": int(tokens.median()), "longest_input_tokens": int(tokens.max())}
        if outputs.sample is None:
            return found
        measured = measure(outputs.sample)
        self._say_collapse(measured, len(outputs.sample.hypotheses))
        return {**found, **measured.metrics}

    def _say_collapse(self, measured: Measured, clips: int) -> None:
        """Print one line when a run begins to say the same of nearly all clips."""
        found = measured.collapse
        if found is not None and not self._is_collapsed:
            print(
                f"collapsed: {found.clips} of {clips} clips of the sample get one caption, whatever the input: "
                f"'{printable(found.caption)}'",
                flush=True,
            )
        self._is_collapsed = found is not None

    @property
    def _device(self) -> torch.device:
        return next(self.captioner.parameters()).device


def check_alike(one: CaptionedFrames, two: CaptionedFrames) -> None:
    """Make sure that the frames of two splits are comparable.

    Raises:
        ArtefactError: frames of another width or another state of their encoder.
    """
    for what, found, other in (
        ("have", f"{one.frames.width} dimensions", f"{two.frames.width} dimensions"),
        ("were made by", one.revisions["frames"], two.revisions["frames"]),
    ):
        if found != other:
            raise ArtefactError(
                f"the frames of '{one.name}' {what} {found}, those of '{two.name}' {other}; make both with one "
                f"encoder: {two.repair}"
            )
