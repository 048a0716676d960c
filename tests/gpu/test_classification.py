"""Classifiers: mixed precision beside fp32, and the same answers as on the CPU."""

import pytest
import torch

from tasks.classification.sounds import SoundClassifier
from tests.gpu.test_training import trained as train
from tests.tasks.classification import corpora
from tests.tasks.classification.conftest import _trained, trained  # noqa: F401 - fixtures
from tests.tiny_models import write_wav2vec2

# A share of the loss: batches of four windows, whose batch norm makes much of a rounding.
TOLERANCE = 0.1


def settings_for(folder, kind, device):
    block = "{name: CNN6Encoder, base_channels: 4, dropout: 0, fc_dropout: 0}"
    if kind == "wav2vec2":
        if not (folder / "wav2vec2").exists():
            write_wav2vec2(folder / "wav2vec2", attention_dropout=0.0, hidden_dropout=0.0, feat_proj_dropout=0.0)
        block = f"{{name: Wav2Vec2Encoder, model: {folder}/wav2vec2, pooling: statistics, weighted_layers: true}}"
    return (
        f"experiment={kind}",
        f"model.audio_encoder={block}",
        "criterion={name: CrossEntropy, class_weights: balanced, label_smoothing: 0.1, mixup: 0.3}",
        "optimizer.lr=1e-3",
        f"training.device={device.type}",
        f"ray.gpus_per_trial={int(device.type == 'cuda')}",
    )


@pytest.mark.parametrize("kind", ["cnn6", "wav2vec2"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_as_fp32_does_up_to_its_rounding(precision, kind, device, trained, tmp_path):  # noqa: F811
    losses = {}
    for name in ("fp32", precision):
        run = corpora.run_of(trained, *settings_for(trained, kind, device), f"training.precision={name}")
        weights, reports = train(run, tmp_path / name)
        assert all(value.isfinite().all() for value in weights.values() if value.is_floating_point())
        losses[name] = [metrics["train_loss"] for metrics in reports]
    print(f"{device.type} {kind} {precision}: train_loss {losses[precision]}, fp32 {losses['fp32']}")
    assert losses[precision] != losses["fp32"]
    assert losses[precision] == pytest.approx(losses["fp32"], rel=TOLERANCE)


@pytest.mark.parametrize("kind", ["cnn6", "wav2vec2"])
def test_windows_and_files_have_the_answers_of_the_cpu(kind, device, trained):  # noqa: F811
    run = corpora.run_of(trained, *settings_for(trained, kind, device))
    task = run.build("eval")
    task.model().eval()
    path = trained / "clips" / f"evaluation {corpora.LONG}.wav"
    with torch.inference_mode():
        wanted, file = task.outputs("eval").windows, SoundClassifier(run, task, "evaluation")(path)
        task.model().to(device)
        found, again = task.outputs("eval").windows, SoundClassifier(run, task, "evaluation")(path)
    scale = float(abs(wanted.logits).max())
    print(
        f"{device.type} {kind}: logits differ by {abs(found.logits - wanted.logits).max() / scale:.1e} of the largest"
    )
    # TF32 has 11 bits
    assert found.logits == pytest.approx(wanted.logits, abs=3e-3 * scale)
    assert again.windows == pytest.approx(file.windows, abs=3e-3 * scale)
    assert len(again.windows) == 3
