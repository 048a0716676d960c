"""What a network that does not learn makes of clips and captions: computed once for all that comes again.

Its output for a window is the same in every epoch. So it is computed when the window comes for the first time, and
remembered on the CPU: a later epoch neither decodes the window nor runs the network. Windows that come again are all
those of an evaluation, and in training the clips that are one window. A random window of a longer clip is computed as
it comes.

The last bits of an output depend on what else is computed with it. Windows that come again are computed in groups that
are always the same, so that a run that is killed and resumed gives what it would have given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from utils.data_utils.audio_clips import AudioClips
from utils.data_utils.captioned_clips import CaptionedClips
from utils.data_utils.clip_features import ClipFeatures
from utils.data_utils.sampling import Ints
from utils.data_utils.text_features import TokenTexts
from utils.data_utils.windows import Windows
from utils.model_utils.devices import Precision, autocast, to_device
from utils.model_utils.training_spec import TrainingSpec

LIMIT_BYTES = 4 * 2**30  # of the outputs that one training process remembers
_TEXT_BATCH = 256


class HalfFrozen(Protocol):
    """An encoder whose first layers may be frozen; called with their output in place of its input, it goes on there."""

    first_frozen: bool  # whether they are: all that `frozen_output` runs

    def frozen_output(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the first layers; arguments as of the encoder.

        Returns:
            (B, ...), with another number of dimensions than the input has; and the (B,) frames of each clip where the
            second dimension is time.
        """


class Memory:
    """Counts the bytes that are remembered; one for all splits of a run."""

    def __init__(self, limit: int) -> None:
        self._left, self._limit, self.is_full = limit, limit, False

    def takes(self, size: int) -> bool:
        """Take so many bytes, if they are left; the first time that they are not, a line says so."""
        if self.is_full:
            return False
        self.is_full = size > self._left
        if self.is_full:
            print(
                f"outputs of frozen layers fill {self._limit / 2**30:.3g} GB; those of further clips are computed in "
                "every epoch",
                flush=True,
            )
            return False
        self._left -= size
        return True


class RunOnceClips:
    """Clips, as the learning layers of an encoder take them: the outputs of the frozen ones."""

    def __init__(
        self,
        audio: ClipFeatures,
        recurring: Sequence[Windows],
        encoder: nn.Module,
        training: TrainingSpec,
        memory: Memory,
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            audio: N clips, as the frozen layers take them.
            recurring: all windows that come again, in one or more sequences, each in the order of clips and starts.
            encoder: a `HalfFrozen` one, on the device where it is trained when the first batch is wanted.
            training: of the run: how many windows are computed at a time, and how precisely.
            memory: of the run.
        """
        self.lengths, self.max_length, self.width = audio.lengths, audio.max_length, audio.width
        self._audio, self._encoder, self._precision, self._memory = audio, encoder, training.precision, memory
        self._recurring = recurring
        self._windows = Windows(*(np.concatenate(values) for values in zip(*recurring, strict=True)))  # W of them
        self._outputs: list[Tensor | None] = [None] * len(self._windows.clips)
        order = np.argsort(-self._windows.lengths, kind="stable")  # little padding
        self._groups = np.array_split(order, -(-len(order) // training.batch_size))
        self._group_of = np.empty(len(order), np.int64)  # (W,)
        for number, group in enumerate(self._groups):
            self._group_of[group] = number
        self._tried = np.zeros(len(self._groups), np.bool_)

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """(B, ...) outputs of these windows, as `HalfFrozen.frozen_output` gives them; see `ClipFeatures.batch`."""
        windows = Windows(clips, starts, lengths)
        places = self._places(windows)
        groups = np.unique(self._group_of[places[places >= 0]])
        for group in groups[~self._tried[groups]]:
            self._remember(group)
        rows = [None if place < 0 else self._outputs[place] for place in places]
        missing = np.flatnonzero([row is None for row in rows])
        if len(missing):
            for number, row in zip(missing, self._computed(windows.take(missing)), strict=True):
                rows[number] = row
        return pad_sequence(cast(list[Tensor], rows), batch_first=True)

    def _remember(self, group: int) -> None:
        """Compute the windows of a group, if there may be room for their outputs."""
        self._tried[group] = True
        if self._memory.is_full:
            return
        outputs = self._computed(self._windows.take(self._groups[group]))
        if self._memory.takes(sum(output.nbytes for output in outputs)):
            for place, output in zip(self._groups[group], outputs, strict=True):
                self._outputs[place] = output

    def _places(self, windows: Windows) -> Ints:
        """(B,) which of those that come again each window is; -1: none."""
        span, first = int(self.lengths.max()) + 1, 0
        places = np.full(len(windows.clips), -1)
        for known in self._recurring:
            keys, wanted = (some.clips * span + some.starts for some in (known, windows))
            found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            same = (keys[found] == wanted) & (known.lengths[found] == windows.lengths)
            places = np.where(same, first + found, places)
            first += len(keys)
        return places

    def _computed(self, windows: Windows) -> list[Tensor]:
        """The output of each window, without padding, in memory of its own."""
        features = self._audio.batch(*windows)
        device = next(self._encoder.parameters()).device
        encoder = cast(HalfFrozen, self._encoder)
        # also where a split is evaluated: training may use the same output, and must not get an inference tensor
        with torch.inference_mode(False), torch.no_grad(), autocast(device, self._precision):
            outputs, counts = encoder.frozen_output(features.to(device), torch.from_numpy(windows.lengths))
            rows = outputs.cpu().unbind()
            if counts is not None:
                rows = tuple(row[:count] for row, count in zip(rows, counts.tolist(), strict=True))
            return [row.clone() for row in rows]


class RunOnceTexts:
    """Captions, as the learning layer of an encoder on tokens takes them: vectors, all computed at the first use.

    Args:
        texts: the tokens of M captions.
        encoder: whose `embed` is frozen, on the device where it is trained when the first batch is wanted.
        precision: of the run.
    """

    def __init__(self, texts: TokenTexts, encoder: nn.Module, precision: Precision) -> None:
        self._texts, self._encoder, self._precision = texts, encoder, precision
        self._table: Tensor | None = None
        self.width = texts.width

    def __len__(self) -> int:
        return len(self._texts)

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """`text` (B, E) of the network."""
        return {"text": self._vectors().index_select(0, rows)}

    def batches(self, size: int) -> Iterable[dict[str, Tensor]]:
        """The same, so many captions at a time."""
        return ({"text": some} for some in self._vectors().split(size))

    def _vectors(self) -> Tensor:
        if self._table is None:
            device = next(self._encoder.parameters()).device
            embed: Any = self._encoder.embed  # to mypy, a module's attributes are tensors and modules
            with torch.inference_mode(False), torch.no_grad(), autocast(device, self._precision):
                batches = (to_device(batch, device) for batch in self._texts.batches(_TEXT_BATCH))
                self._table = torch.cat([embed(batch["text_ids"], batch["text_mask"]).cpu() for batch in batches])
        return self._table


Split = TypeVar("Split", bound=AudioClips)


class RunOnce:
    """The splits of a run in training, with what its frozen layers make of them in place of their inputs.

    Args:
        audio_encoder: of the run.
        training: of the run.
        worker_processes: of the run; they cannot share what is remembered.
        text_encoder: of a run with captions.
        limit: bytes of outputs.
    """

    def __init__(
        self,
        audio_encoder: nn.Module,
        training: TrainingSpec,
        worker_processes: int,
        text_encoder: nn.Module | None = None,
        limit: int = LIMIT_BYTES,
    ) -> None:
        self._audio, self._text = audio_encoder, text_encoder
        self._training, self._workers = training, worker_processes
        self._memory = Memory(limit)
        self._made: dict[str, AudioClips] = {}

    def split(self, split: Split) -> Split:
        """Copy a split, of which frozen layers take nothing more; where none are frozen it holds what it held."""
        if split.name not in self._made:
            made = copy.copy(split)
            if _first_frozen(self._audio) and self._pays(split.audio):
                again = split.recurring_windows()
                made.audio = RunOnceClips(split.audio, again, self._audio, self._training, self._memory)
            if isinstance(made, CaptionedClips) and isinstance(made.texts, TokenTexts) and self._text is not None:
                width = getattr(self._text, "width", 0)
                if _first_frozen(self._text) and self._memory.takes(4 * len(made.texts) * width):
                    made.texts = RunOnceTexts(made.texts, self._text, self._training.precision)
            self._made[split.name] = made
        return cast(Split, self._made[split.name])

    def workers(self, split: AudioClips) -> int:
        """How many processes load the batches of a split that `split` returned."""
        return 0 if isinstance(split.audio, RunOnceClips) else self._workers

    def _pays(self, audio: ClipFeatures) -> bool:
        """Without worker processes always; they decode faster, which decides where most clips are random windows."""
        return self._workers == 0 or 2 * int((audio.lengths <= audio.max_length).sum()) > len(audio.lengths)


def _first_frozen(encoder: nn.Module) -> bool:
    return bool(getattr(encoder, "first_frozen", False))
