import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, CLIPTextModelWithProjection, Wav2Vec2Model

from tests import tiny_models
from utils.cli_utils import UserError
from utils.model_packages import sha256
from utils.pretrained_utils import (
    check_type,
    find_model,
    load_pretrained,
    model_revision,
    read_config,
    reason_of,
)

KEY = "model.text_encoder.model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_models.write_bert(tmp_path / "bert")


def edit_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_folder_gives_every_weight_in_evaluation_mode(folder: Path):
    network = load_pretrained(BertModel, str(folder), KEY)
    assert not network.training
    saved = load_file(folder / "model.safetensors")
    assert network.state_dict().keys() == saved.keys()
    assert all(torch.equal(value, saved[key]) for key, value in network.state_dict().items())


def test_half_precision_weights_are_read_as_float32(folder: Path):
    edit_weights(folder, lambda weights: weights.update({key: value.half() for key, value in weights.items()}))
    assert {p.dtype for p in load_pretrained(BertModel, str(folder), KEY).parameters()} == {torch.float32}


def test_a_part_of_a_model_is_taken_from_the_whole(tmp_path: Path):
    folder = tiny_models.write_clip(tmp_path / "clip")
    network = load_pretrained(CLIPTextModelWithProjection, str(folder), KEY)
    assert torch.equal(
        network.text_projection.weight, load_file(folder / "model.safetensors")["text_projection.weight"]
    )


@pytest.mark.parametrize("model", ["/absent/model", "./absent", "~/absent-model", "data/features/absent"])
def test_a_missing_folder_is_refused(model: str):
    with pytest.raises(UserError, match=rf"^{KEY}: {model}: no such folder; correct {KEY}$"):
        find_model(model, KEY)


def test_a_name_is_left_to_the_hub_and_refused_where_there_is_none():
    assert find_model("nobody/nothing", KEY) == "nobody/nothing"
    with pytest.raises(
        UserError, match=rf"^{KEY}: nobody/nothing: cannot be loaded: [^\n]*; name a folder with config"
    ):
        read_config("nobody/nothing", KEY)


def test_a_folder_without_config_is_refused(folder: Path):
    (folder / "config.json").unlink()
    for ask in (find_model, read_config):
        with pytest.raises(UserError, match=rf"^{KEY}: {folder}: the folder holds no config.json; name the folder of"):
            ask(str(folder), KEY)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "never-heard-of"}'])
def test_a_config_that_cannot_be_used_is_refused(folder: Path, content: str):
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: cannot be loaded: [^\n]+$"):
        read_config(str(folder), KEY)


def test_a_model_of_another_type_is_refused(folder: Path):
    config = read_config(str(folder), KEY)
    assert check_type(config, {"bert", "clip"}, str(folder), KEY) == "bert"
    with pytest.raises(
        UserError, match=rf"^{KEY}: {folder}: the model's type is bert, expected clip or hubert; name another model$"
    ):
        check_type(config, {"hubert", "clip"}, str(folder), KEY)


def test_partial_weights_are_refused(folder: Path):
    edit_weights(folder, lambda weights: weights.pop("encoder.layer.1.output.dense.weight"))
    with pytest.raises(
        UserError,
        match=rf"^{KEY}: {folder}: the checkpoint misses 1 weights of a BertModel: "
        r"encoder\.layer\.1\.output\.dense\.weight; name a complete BertModel$",
    ):
        load_pretrained(BertModel, str(folder), KEY)


def test_the_weights_of_another_network_are_refused(folder: Path, tmp_path: Path):
    other = tiny_models.write_wav2vec2(tmp_path / "wav2vec2")
    (other / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(
        UserError, match=r"the checkpoint misses \d+ weights of a BertModel: .* and \d+ more; name a co"
    ):
        load_pretrained(BertModel, str(folder), KEY)


def test_weights_that_may_be_missing_are_let_off_by_their_last_part(tmp_path: Path):
    folder = tiny_models.write_wav2vec2(tmp_path / "wav2vec2")
    edit_weights(folder, lambda weights: weights.pop("masked_spec_embed"))
    load_pretrained(Wav2Vec2Model, str(folder), KEY, may_be_missing=("masked_spec_embed",))
    with pytest.raises(UserError, match="misses 1 weights of a Wav2Vec2Model: masked_spec_embed; name a complete"):
        load_pretrained(Wav2Vec2Model, str(folder), KEY)


def test_weights_of_another_shape_are_refused(folder: Path):
    edit_weights(folder, lambda weights: weights.update({"pooler.dense.bias": torch.zeros(3)}))
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: [^\n]*shape[^\n]*pooler.dense.bias[^\n]*$"):
        load_pretrained(BertModel, str(folder), KEY)


@pytest.mark.parametrize("keep", [0, 5, 200, 5000])
def test_truncated_weights_are_refused(folder: Path, keep: int):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: cannot be loaded: [^\n]*model.safetensors: [^\n]+$"):
        load_pretrained(BertModel, str(folder), KEY)


def test_a_folder_without_weights_is_refused(folder: Path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: cannot be loaded: [^\n]+; name a folder with config.json"):
        load_pretrained(BertModel, str(folder), KEY)


class Trap:
    """Runs a command where it is unpickled by a careless reader."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_its_code_is_not_run(folder: Path, tmp_path: Path, zipped: bool):
    (folder / "model.safetensors").unlink()
    trap = {"embeddings.word_embeddings.weight": Trap(f"touch {tmp_path / 'sprung'}")}
    path = folder / "pytorch_model.bin"
    if zipped:
        torch.save(trap, path)
    else:
        path.write_bytes(pickle.dumps(trap, protocol=2))
    with pytest.raises(
        UserError,
        match=rf"^{KEY}: {folder}: cannot be loaded: {path}: refused: it names posix.system; .*; get them as model",
    ):
        load_pretrained(BertModel, str(folder), KEY)
    assert not (tmp_path / "sprung").exists()


def test_a_models_own_code_is_not_run(folder: Path, tmp_path: Path):
    (folder / "trap.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'sprung')!r}).touch()\n")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "trapped", "auto_map": {"AutoConfig": "trap.Config", "AutoModel": "trap.Model"}}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: cannot be loaded: [^\n]+$"):
        read_config(str(folder), KEY)
    assert not (tmp_path / "sprung").exists()


def test_plain_pytorch_weights_are_read(folder: Path):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    network = load_pretrained(BertModel, str(folder), KEY)
    assert torch.equal(network.pooler.dense.weight, weights["pooler.dense.weight"])


def test_the_revision_changes_with_the_weights_of_a_folder(folder: Path):
    first = model_revision(str(folder))
    assert first == "sha256:" + sha256(folder / "model.safetensors")
    torch.manual_seed(1234)  # whatever was drawn before, other weights than those of the folder
    BertModel(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    assert model_revision(str(folder)) != first
    assert model_revision("facebook/wav2vec2-base") == "name:facebook/wav2vec2-base"


def test_a_reason_is_one_line():
    assert reason_of(ValueError("first\nsecond")) == "first"
    assert reason_of(ValueError()) == "ValueError"
