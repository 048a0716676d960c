"""CLIP's text encoder against transformers' own whole CLIP, and the folders that are refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.frozen.clip_text import load_clip_network, load_frozen_clip
from models.frozen.text_loading import load_frozen_text
from tests import tiny, tiny_models
from utils.cli_utils import UserError


@pytest.fixture(scope="module", params=["new", "legacy"])
def folder(request, tmp_path_factory):
    return tiny_models.write_clip(tmp_path_factory.mktemp(request.param) / "clip", legacy_eos=request.param == "legacy")


@pytest.fixture
def copy(tmp_path):
    return tiny_models.write_clip(tmp_path / "clip")


def texts_of(count):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(tiny.WORDS, rng.integers(1, 30))) for _ in range(count)]


@torch.no_grad()
def by_transformers(folder, texts, max_length=77):
    """(n, E): `CLIPModel.get_text_features`, each text alone."""
    from transformers import CLIPModel, CLIPTokenizer

    clip, tokenizer = CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)
    tokens = [tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt") for text in texts]
    return np.concatenate([clip.get_text_features(**t).pooler_output.numpy() for t in tokens])


def test_vectors_are_those_of_the_whole_clip_alone_and_in_any_batch(folder):
    encoder = load_frozen_text(str(folder))
    texts = [*texts_of(37), "", "unheard-of words?!"]
    expected = by_transformers(folder, texts)
    np.testing.assert_allclose(encoder.vectors(texts), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.vectors(texts[::-1])[::-1], expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([encoder.encode_batch([t]) for t in texts]), expected, atol=1e-5)
    assert (encoder.kind, encoder.width, encoder.max_tokens) == ("CLIP", 12, 77)
    assert np.abs(expected - expected.mean(axis=0)).max() > 0.1  # the texts do differ
    assert np.abs(np.linalg.norm(expected, axis=1) - 1).min() > 0.01  # not normalised


def test_long_captions_are_cut_to_77_tokens_and_counted(folder):
    encoder = load_frozen_text(str(folder))
    fits, cut = "dog " * 75, "dog " * 76  # start and end make two more
    assert encoder.token_counts([fits, cut, "dog"]) == [77, 78, 3]
    assert encoder.truncated([fits, cut, "dog", "bell " * 500]) == 2
    vectors = encoder.vectors([fits, cut, "dog " * 500])
    np.testing.assert_allclose(vectors, by_transformers(folder, [fits] * 3), atol=1e-5)


def test_the_text_network_alone_will_do_but_not_without_its_projection(copy, tmp_path):
    from transformers import CLIPTextModel

    network = load_clip_network(str(copy), "key")
    expected = load_frozen_text(str(copy)).vectors(["a dog barks"])
    for name, saved in (("text", network), ("plain", CLIPTextModel.from_pretrained(copy))):
        saved.save_pretrained(tmp_path / name)
        for path in copy.glob("tokenizer*"):
            shutil.copy(path, tmp_path / name)
    vectors = load_frozen_text(str(tmp_path / "text")).vectors(["a dog barks"])
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    with pytest.raises(UserError, match=r"misses 1 weights of a CLIPTextModelWithProjection: text_projection\.weight"):
        load_frozen_text(str(tmp_path / "plain"), "key")


def change_config(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"].update(settings)
    (folder / "config.json").write_text(json.dumps(config))


def test_the_width_of_the_projection_is_the_whole_models(copy):
    expected = load_frozen_text(str(copy)).vectors(["a dog barks"])
    change_config(copy, projection_dim=512)  # as in laion's large models, whose own entry says 1024
    np.testing.assert_allclose(load_frozen_text(str(copy)).vectors(["a dog barks"]), expected, atol=1e-6)


def test_frozen_and_in_eval_mode(copy):
    network = load_frozen_clip(str(copy))._network
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_partial_folders_are_refused(copy):
    weights = load_file(copy / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "text_model.encoder.layers.1.mlp" not in name}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"^key: .*/clip: the checkpoint misses 4 weights of .*mlp.*and 1 more; name a"):
        load_frozen_text(str(copy), "key")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"^key: .*/clip: cannot be loaded: .*model\.safetensors"):
        load_frozen_text(str(copy), "key")
    (copy / "config.json").unlink()
    with pytest.raises(UserError, match=r"^key: .*/clip: the folder holds no config\.json"):
        load_frozen_text(str(copy), "key")


def test_weights_of_another_shape_are_refused(copy):
    change_config(copy, intermediate_size=64)
    with pytest.raises(UserError, match=r"the checkpoint holds in another shape 6 weights of a CLIPText"):
        load_frozen_text(str(copy), "key")


def test_a_tokenizer_that_is_missing_or_another_models_is_refused(copy, tmp_path):
    change_config(copy, eos_token_id=5)
    with pytest.raises(UserError, match=r"its tokenizer ends captions with token 92, its network looks for 5; take"):
        load_frozen_text(str(copy), "key")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"^key: .*/clip: holds no tokenizer files"):
        load_frozen_text(str(copy), "key")


def test_another_kind_of_network_is_no_clip(tmp_path):
    folder = tiny_models.write_bert(tmp_path / "bert")
    with pytest.raises(UserError, match=r"^key: .*: the model's type is bert, expected clip or clip_text_model"):
        load_frozen_clip(str(folder), "key")
