"""A classifier with its recordings, loss and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.class_criterion import CrossEntropy
from models.classifiers import Classifier
from models.projections import Projection
from tasks.classification.clips import ClassifiedClips, classes_of_training
from tasks.classification.run import ClassificationRun
from utils.data_utils import Batch, TrainLoader, VectorFeatures, WaveNeeds, audio_loader
from utils.data_utils.clip_features import ClipFeatures
from utils.data_utils.run_once import RunOnce
from utils.metric_utils.classification.resampling import Answers
from utils.metric_utils.classification.windows import average_windows, log_probabilities
from utils.model_utils import DivergedError, Loader, on_device
from utils.model_utils.ranks import share_out


class WindowLogits(NamedTuple):
    """What a classifier says of the W windows of recordings."""

    logits: NDArray[np.float32]  # (W, K)
    recording: NDArray[np.int64]  # (W,)


class ClassificationOutputs(NamedTuple):
    """What a classifier says of a split."""

    windows: WindowLogits
    targets: NDArray[np.int64]  # (N,)
    fids: Sequence[str]  # N


class ClassificationTask:
    """A classifier with its data, loss and metrics."""

    def __init__(self, run: ClassificationRun, split: str) -> None:
        """Open a split, whose features set the width, and build the classifier.

        Raises:
            UserError: a file is missing, broken or made with other settings, or a pretrained network does not fit.
        """
        self._run = run
        self._splits: dict[str, ClassifiedClips] = {}
        self.classes = classes_of_training(run.data)
        spec = run.model.audio_encoder
        # loaded before the rest: the data need its sample rate and its longest window
        backbone = spec.load_backbone() if isinstance(spec, Wav2Vec2Spec) else None
        needs = None if backbone is None else (backbone.sample_rate_hz, backbone.min_samples, backbone.max_samples)
        self._needs = needs and WaveNeeds(*needs)
        opened = self.data(split)
        self.classifier: Classifier = run.model.build(self.classes, opened.audio.width, backbone)
        trains = opened.name == run.data.splits.train
        # where nothing is trained, the weights of classes are of no use, and the training features need not be there
        counts = opened.training_counts() if trains else np.ones(len(self.classes), np.int64)
        self.criterion: CrossEntropy = run.criterion.build(torch.from_numpy(counts))
        self._network = nn.ModuleDict({"classifier": self.classifier, "criterion": self.criterion})
        encoder = self.classifier.audio_encoder
        # mixup changes the inputs of frozen layers in every epoch
        self._once = RunOnce(encoder, run.training, run.data.worker_processes)
        self._runs_once = trains and not run.criterion.mixup
        if trains and isinstance(encoder, Projection) and isinstance(opened.audio, VectorFeatures):
            encoder.fit(opened.audio.table)

    def data(self, role: str) -> ClassifiedClips:
        """The split of `train`, `val` or `eval`, or one by its own name; opened when it is first needed."""
        name = dict(self._run.data.splits).get(role, role)
        if name not in self._splits:
            kind = self._run.audio_input()
            self._splits[name] = ClassifiedClips(self._run.data, name, kind, self._needs, self.classes)
        return self._splits[name]

    @property
    def waves(self) -> WaveNeeds | None:
        """What an encoder of waves wants; None for the others."""
        return self._needs

    def model(self) -> nn.Module:
        """Classifier and criterion."""
        return self._network

    def loaders(self) -> Mapping[str, Loader]:
        """The training batches."""
        training, split = self._run.training, self._taken(self.data("train"))
        sampler = split.training_batches(training.batch_size, training.seed)
        return {"train": TrainLoader(split, sampler, self._once.workers(split))}

    def _taken(self, split: ClassifiedClips) -> ClassifiedClips:
        """The split, in training with what frozen layers make of it."""
        return self._once.split(split) if self._runs_once else split

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The cross entropy, and the share of the batch whose class is right; of mixed clips that of the louder one."""
        mixed = self.criterion.mixed(batch["audio"], batch["lengths"])
        logits = self.classifier(batch["audio"] if mixed is None else mixed.features, batch["lengths"])
        right = (logits.argmax(1) == batch["targets"]).float().mean()
        return {"loss": self.criterion(logits, batch["targets"], mixed), "accuracy": right.detach()}

    def outputs(self, split: str) -> ClassificationOutputs:
        """The logits of every window of every recording, without overlap: each second counts once in the average."""
        data = self._taken(self.data(split))
        windows = classify_windows(self.classifier, data.audio, self._run.training.batch_size, self._once.workers(data))
        return ClassificationOutputs(windows, data.targets, data.fids)

    def metrics(self, outputs: ClassificationOutputs) -> dict[str, float]:
        """Metrics of the recordings, whose windows are averaged, and the accuracy of single windows.

        Raises:
            DivergedError: a logit is not finite.
        """
        windows, targets = outputs.windows, outputs.targets
        if not np.isfinite(windows.logits).all():
            raise DivergedError("a logit is not finite; lower optimizer.lr, or use training.precision=fp32")
        found = Answers.of(average_windows(windows.logits, windows.recording, len(targets)), targets).metrics()
        single = Answers.of(log_probabilities(windows.logits), targets[windows.recording]).metrics()
        return {
            "val_loss": found["nll"],
            **{name: found[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")},
            "window_accuracy": single["accuracy"],
        }


def classify_windows(classifier: Classifier, audio: ClipFeatures, batch_size: int, workers: int = 0) -> WindowLogits:
    """Classify every window of recordings; callers set eval mode and `inference_mode`.

    Of a recording of hours one batch of windows is in memory at a time, and the logits of all.

    Args:
        classifier: the network.
        audio: N recordings, as it takes them.
        batch_size: of the longest windows; of shorter ones there are more in a batch.
        workers: processes that load batches; 0: this one.
    """
    device = next(classifier.parameters()).device
    logits, recording = [], []

    def classify(batch: Batch) -> tuple[Tensor, Tensor]:
        return classifier(batch["audio"], batch["lengths"]).float(), batch["clip"]

    for of_windows, rows in share_out(on_device(audio_loader(audio, batch_size, workers), device), classify):
        logits.append(of_windows)
        recording.append(rows)
    return WindowLogits(torch.cat(logits).cpu().numpy(), torch.cat(recording).cpu().numpy())
