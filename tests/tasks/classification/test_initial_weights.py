"""A classifier begins from the audio encoder of another network, and needs its file no more when it is trained."""

import pytest
import torch

from models.audio_encoders.cnn10 import CNN10Encoder
from preprocessing import cnn14_transfer
from tests.postprocessing.commands import error_of, run
from tests.tasks.classification import corpora
from utils.weight_utils import read_weights


@pytest.fixture
def published(trained):
    """The weights of a CNN10 with a last layer of 5."""
    torch.manual_seed(1)
    path = trained / "published.pth"
    torch.save(CNN10Encoder(5, 64, base_channels=2).state_dict(), path)
    return path


def convert(folder, capsys, *arguments):
    output = str(folder / "initial.pth")
    return run(cnn14_transfer.main, capsys, folder, *arguments, "--output", output, "--any-front-end")


def test_its_last_layer_has_an_output_a_category(trained, published, capsys):
    done = convert(trained, capsys, str(published))
    assert done.code == 0, done.err
    assert "drawn from the seed: fc_out" in done.out
    assert "model.out_dim" not in done.out
    block = f"{{name: CNN10Encoder, base_channels: 2, weights: {trained}/initial.pth}}"
    task = corpora.run_of(trained, f"model.audio_encoder={block}").build()
    encoder = task.classifier.audio_encoder
    assert encoder.fc_out.weight.shape[0] == 2
    original = torch.load(published, weights_only=True)
    torch.testing.assert_close(encoder.conv_block1.conv1.weight.detach(), original["conv_block1.conv1.weight"])
    assert read_weights(trained / "initial.pth", "").notes["encoder"] == "CNN10Encoder"


def test_no_trial_of_the_baseline_is_a_classifier(trained, published, capsys):
    assert "this script takes retrieval" in error_of(convert(trained, capsys, str(published), "--as-trial"))


def test_stage_3_needs_the_file_only_where_it_is_frozen(trained):
    block = "{name: CNN10Encoder, base_channels: 2, weights: gone.pth"
    whole = corpora.run_of(trained, f"model.audio_encoder={block}}}").for_stage_3()
    assert whole.model.audio_encoder.weights is None
    frozen = corpora.run_of(trained, f"model.audio_encoder={block}, trainable: false}}").for_stage_3()
    assert frozen.model.audio_encoder.weights is not None
