"""Vision transformers beside transformers' own processors and networks."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    CLIPModel,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    Dinov2Model,
    SiglipVisionModel,
)
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from models.backbones.vision_transformers import load_vision_transformer
from models.frozen.images import load_frozen_image
from tests import tiny_models
from tests.utils.image_utils.test_network_input import picture
from utils.cli_utils import UserError

KEY = "data.image_embeddings.model"
PICTURES = [picture(48, 80, 1), picture(32, 32, 2), picture(90, 20, 3)]
KINDS = {
    "clip": (tiny_models.write_clip_vision, CLIPVisionModelWithProjection, CLIPImageProcessorPil, 1),
    "siglip": (tiny_models.write_siglip_vision, SiglipVisionModel, SiglipImageProcessorPil, 0),
    "dinov2": (tiny_models.write_dinov2, Dinov2Model, BitImageProcessorPil, 1),
}


def pixels(folder, processor):
    return processor.from_pretrained(folder)(PICTURES, input_data_format="channels_last", return_tensors="pt")


@torch.inference_mode()
def expected(folder, network, processor):
    """The output of transformers alone, of the three pictures."""
    return network.from_pretrained(folder).eval()(**pixels(folder, processor))


def noise():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", KINDS)
def test_patches_and_vectors_are_those_of_transformers(tmp_path, name):
    write, network, processor, special = KINDS[name]
    output = expected(write(tmp_path / name), network, processor)
    encoder = load_frozen_image(str(tmp_path / name))
    assert (encoder.patches, encoder.frame_width) == (16, 16)
    for found, wanted in zip(encoder.frames(PICTURES), output.last_hidden_state[:, special:], strict=True):
        assert found.shape == (16, 16)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    pooled = output.image_embeds if name == "clip" else output.pooler_output
    vectors = encoder.vectors(PICTURES)
    assert vectors.shape == (3, encoder.width) == pooled.shape
    np.testing.assert_allclose(vectors, pooled, atol=1e-4)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.2  # of other pictures


@pytest.mark.parametrize("name", KINDS)
def test_the_same_pixels_give_the_same_output(tmp_path, name):
    write, network, _, special = KINDS[name]
    backbone = load_vision_transformer(str(write(tmp_path / name)), KEY)
    with torch.inference_mode():
        output = network.from_pretrained(tmp_path / name).eval()(noise())
        torch.testing.assert_close(backbone.frames(noise()), output.last_hidden_state[:, special:])
        pooled = output.image_embeds if name == "clip" else output.pooler_output
        torch.testing.assert_close(backbone.vectors(noise()), pooled)


@pytest.mark.parametrize("name", KINDS)
def test_the_first_layers_alone(tmp_path, name):
    """As LLaVA takes CLIP's tokens one layer before the last."""
    write, network, _, special = KINDS[name]
    folder = str(write(tmp_path / name))
    with torch.inference_mode():
        whole = network.from_pretrained(folder).eval()
        hidden = whole(noise(), output_hidden_states=True).hidden_states[1]
        last = {
            "clip": lambda x: x,
            "siglip": lambda x: whole.post_layernorm(x),
            "dinov2": lambda x: whole.layernorm(x),
        }
        wanted = last[name](hidden)[:, special:]
        torch.testing.assert_close(load_vision_transformer(folder, KEY, layers=1).frames(noise()), wanted)
    with pytest.raises(UserError, match=r"data\.image_embeddings\.layers: 3, but .* has 2 transformer layers"):
        load_vision_transformer(folder, KEY, layers=3)


def test_a_clip_without_its_projection(tmp_path):
    folder = tiny_models.write_clip_vision(tmp_path / "clip", projected=False)
    encoder = load_frozen_image(str(folder))
    assert (encoder.width, encoder.vector_pooling) == (16, "class token, without a projection")
    wanted = expected(folder, CLIPVisionModel, CLIPImageProcessorPil).pooler_output
    np.testing.assert_allclose(encoder.vectors(PICTURES), wanted, atol=1e-4)


def test_the_vision_network_of_a_whole_clip(tmp_path):
    """Its folder has no file of the image processor here: CLIP's own numbers, at the network's size."""
    folder = tiny_models.write_clip(tmp_path / "clip")
    encoder = load_frozen_image(str(folder))
    assert (encoder.width, encoder.patches, encoder.vector_pooling) == (12, 4, "projected class token")
    assert encoder.describe_input() == (
        "32 x 32 pixels of the centre, shortest side 32, bicubic, scale 0.00392157, "
        "mean 0.481455 0.457827 0.408211, std 0.26863 0.261303 0.275777"
    )
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    whole = CLIPModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = whole.visual_projection(whole.vision_model(**pixels(folder, CLIPImageProcessorPil)).pooler_output)
    np.testing.assert_allclose(encoder.vectors(PICTURES), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": {"shortest_edge": 48}, "crop_size": 48}, "it makes 48 x 48 pixels, the network takes 32 x 32"),
        ({"size": {"shortest_edge": 24}}, "it cuts 32 x 32 pixels out of 24 x 24"),
        ({"size": {"shortest_edge": 10**6}}, "sizes are (32, 32, 1000000, 1000000), expected 8 to 2048 pixels"),
        ({"size": {"longest_edge": 32}}, "sizes are (32, 32, None, None)"),
        ({"size": "large"}, ""),
        ({"image_std": [0, 1, 1]}, "rescale_factor, image_mean, image_std or resample is out of range"),
        ({"image_mean": [0.5]}, "not enough values to unpack"),
        ({"resample": 9}, "resample is out of range"),
        ({"do_resize": False}, "do_resize is false or do_pad is true, expected pictures of one size"),
    ],
)
def test_image_processors_that_cannot_be_used(tmp_path, changes, message):
    folder = tiny_models.write_clip_vision(tmp_path / "clip")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError) as error:
        load_vision_transformer(str(folder), KEY)
    assert str(error.value).startswith(f"{KEY}: {folder}: preprocessor_config.json cannot be used: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_processor_that_does_not_normalise(tmp_path):
    folder = tiny_models.write_clip_vision(tmp_path / "clip")
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text()) | {"do_normalize": False, "do_rescale": False}
    path.write_text(json.dumps(settings))
    found = load_vision_transformer(str(folder), KEY).image_input
    assert (found.scale, found.mean, found.std) == (1.0, (0, 0, 0), (1, 1, 1))


def test_newer_models_have_the_processor_in_another_file(tmp_path):
    folder = tiny_models.write_clip_vision(tmp_path / "clip")
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text()) | {"resample": 2}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    path.unlink()
    assert load_vision_transformer(str(folder), KEY).image_input.resample == 2


def test_models_of_another_kind(tmp_path):
    folder = tiny_models.write_bert(tmp_path / "bert")
    with pytest.raises(UserError, match="the model's type is bert, expected clip or clip_vision_model or dinov2"):
        load_vision_transformer(str(folder), KEY)
    with pytest.raises(UserError, match=r"data\.image_embeddings\.model: .*none: no such folder"):
        load_frozen_image(str(tmp_path / "none"))
    (tiny_models.write_clip_vision(tmp_path / "clip") / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"data\.image_embeddings\.model: .* cannot be loaded"):
        load_frozen_image(str(tmp_path / "clip"))
