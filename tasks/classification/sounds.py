"""Sound files of any place and length, classified window by window as the recordings of a split are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.sounds import SoundInput, sound_input
from tasks.classification.run import ClassificationRun
from tasks.classification.task import ClassificationTask
from tasks.same_sounds import refuse_other_sounds
from utils.audio_utils import AudioError, LogMelStream, probe, regrouped, resampled_blocks, wave_blocks
from utils.cli_utils import UserError
from utils.data_utils import window_edges
from utils.metric_utils.classification.windows import average_windows, log_probabilities

Array = NDArray[np.float32]
Values = NDArray[np.float64]

_BLOCK_S = 60.0  # of sound, decoded at a time
_HELD_S = 120.0  # of a file that is decoded once; 21 MB at 44.1 kHz


class ClassifiedSound(NamedTuple):
    """The categories of one file.

    Attributes:
        log_probs: (K,) of the file, the mean over its windows.
        windows: (W, K) of each window.
        edges_s: (W + 1,) where the windows begin and end.
    """

    log_probs: Values
    windows: Values
    edges_s: Values


class _Beginning:
    """The blocks of a file while it is probed, as long as it is short: most files need not be decoded a second time."""

    def __init__(self) -> None:
        self.blocks: list[Array] = []
        self.is_whole = True

    def hear(self, block: Array, rate_hz: int) -> None:
        """Take a block, or let all go."""
        if self.is_whole:
            self.blocks.append(block)
        if sum(map(len, self.blocks)) > _HELD_S * rate_hz:
            self.is_whole = False
            self.blocks.clear()


class SoundClassifier:
    """Classifies sound files with a trained classifier.

    A file is decoded as a stream, and its windows are those that stage 1 and the evaluation of a split make: hours of
    sound need the memory of one batch of windows. A frozen encoder alone needs the whole wave of a file.
    """

    def __init__(self, run: ClassificationRun, task: ClassificationTask, split: str) -> None:
        """Prepare the input of the classifier.

        Args:
            run: the run of the task.
            task: with trained weights, in eval mode; callers use `inference_mode`.
            split: an open one, whose windows are as long as those here.
        Raises:
            UserError: the run's vectors were made by another program or another encoder, which embeds no file here.
        """
        self._run, self._classifier = run, task.classifier
        self._device = next(task.classifier.parameters()).device
        opened = task.data(split)
        self._kind = run.audio_input()
        self._max_length = opened.audio.max_length
        self._sound: SoundInput = sound_input(run.data, self._kind, task.waves, self._device)
        refuse_other_sounds([opened], self._sound)

    def __call__(self, path: Path) -> ClassifiedSound:
        """Classify a file.

        Raises:
            AudioError: it cannot be decoded, is silent, or too short.
        """
        beginning = _Beginning()
        facts = probe(path, hear=beginning.hear)
        if not facts.sound:
            raise AudioError("silent: every sample is 0")
        length = self._length(facts.duration_s)
        edges = window_edges(length, self._max_length)
        rate_hz = self._sound.sample_rate_hz
        if beginning.is_whole:  # decoded once
            waves = resampled_blocks(beginning.blocks, facts.sample_rate_hz, rate_hz)
        else:
            waves = wave_blocks(path, rate_hz, _BLOCK_S)
        logits = torch.cat([self._logits(windows) for windows in self._batches(waves, np.diff(edges).tolist())])
        found = logits.float().cpu().numpy()
        mean = average_windows(found, np.zeros(len(found), np.int64), 1)[0]
        seconds = np.array(edges[: len(found) + 1], np.float64) * facts.duration_s / length
        return ClassifiedSound(mean, log_probabilities(found), seconds)

    def _length(self, duration_s: float) -> int:
        """Frames or samples of a file, or 1 vector.

        Raises:
            AudioError: there are too few.
        """
        if self._kind == "vector":
            return 1
        if self._kind == "logmel":
            return self._run.data.front_end.frames(duration_s)
        samples, least = max(1, round(duration_s * self._sound.sample_rate_hz)), self._sound.min_samples
        if samples < least:
            rate_hz = self._sound.sample_rate_hz
            raise AudioError(f"too short: {samples / rate_hz:.4f} s, the encoder needs {least / rate_hz:.4f} s")
        return samples

    def _batches(self, waves: Iterator[Array], lengths: list[int]) -> Iterator[list[Tensor]]:
        """The windows of a file, in batches."""
        windows = iter(regrouped(self._blocks(waves), lengths))
        while batch := list(itertools.islice(windows, self._run.training.batch_size)):
            yield [torch.from_numpy(window) for window in batch]

    def _blocks(self, waves: Iterator[Array]) -> Iterator[Array]:
        """A file as (T, F) log-mels, (S,) waves or a (1, E_audio) vector."""
        if self._kind == "vector":
            yield self._sound.features([self._sound.prepared(np.concatenate(list(waves)))])[0]
        elif self._kind == "logmel":
            stream = LogMelStream(self._run.data.front_end)
            for wave in waves:
                yield stream.push(wave)
            yield stream.finish()
        else:
            yield from waves

    def _logits(self, windows: list[Tensor]) -> Tensor:
        """(W, K) of windows of one file."""
        if self._kind == "vector":
            return self._classifier(windows[0].to(self._device), torch.ones(1, dtype=torch.int64))
        padding = self._run.data.front_end.floor if self._kind == "logmel" else 0.0
        lengths = torch.tensor([len(window) for window in windows])
        padded = pad_sequence(windows, batch_first=True, padding_value=padding)
        return self._classifier(padded.to(self._device), lengths)


def check_users_file(path: Path, option: str) -> None:
    """Make sure that there is a file.

    Raises:
        UserError: there is none.
    """
    if not path.is_file():
        reason = "is a folder; name a file, or use --predict" if path.is_dir() else "there is no such file; correct it"
        raise UserError(f"{option} {path}: {reason}")
