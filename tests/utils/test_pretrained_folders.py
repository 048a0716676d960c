"""Folders of pretrained models from any source: each forbidden content is refused in one line."""

import base64
import json
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertModel

from models.frozen.text_loading import load_frozen_text
from tests import tiny_models
from utils.cli_utils import UserError
from utils.pretrained_utils import find_model, load_pretrained, model_revision, read_config

KEY = "data.text_embeddings.model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_models.write_bert(tmp_path / "bert")


def _set(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def _refused(folder: Path) -> str:
    """The line, the same wherever the folder is opened."""
    lines = set()
    for opened in (find_model, lambda model, key: load_pretrained(BertModel, model, key), load_frozen_text):
        with pytest.raises(UserError) as caught:
            opened(str(folder), KEY)
        lines.add(str(caught.value))
    (line,) = lines
    assert "\n" not in line
    return line.removeprefix(f"{KEY}: {folder}: ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
            "its weights are quantised (quantization_config); name the model in full precision",
        ),
        (
            {"_attn_implementation": "flash_attention_2"},
            "config.json sets _attn_implementation to 'flash_attention_2', expected sdpa or eager; remove the key",
        ),
        (
            {"attn_implementation": "kernels-community/flash-attn"},
            "config.json sets attn_implementation to 'kernels-community/flash-attn', expected sdpa or eager; "
            "remove the key",
        ),
        (
            {"num_hidden_layers": 10**6},
            "config.json sets num_hidden_layers to 1000000, expected at most 1000; name another model",
        ),
        (
            {"vocab_size": 10**12},
            "config.json sets vocab_size to 1000000000000, expected at most 268435456; name another model",
        ),
    ],
)
def test_configurations_that_ask_for_too_much(folder, settings, message):
    _set(folder, **settings)
    assert _refused(folder) == message


def test_a_wide_configuration_takes_no_memory(folder):
    _set(folder, hidden_size=20_000, intermediate_size=80_000, num_attention_heads=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        load_pretrained(BertModel, str(folder), KEY)
    assert f"{KEY}: {folder}: config.json describes a BertModel of " in str(caught.value)
    assert " weights, more than its files can hold (" in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB; the network would take 39 GB


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": "16"},
        {"hidden_size": [16]},
        {"num_attention_heads": 0},
        {"num_attention_heads": 3},
        {"vocab_size": -1},
        {"hidden_act": "no-such"},
        {"torch_dtype": "no-such"},
        {"architectures": 3},
        {"id2label": 3},
        {"pad_token_id": 10**6},
        {"is_decoder": {}},
        {"model_type": []},
    ],
)
def test_values_of_the_wrong_kind_are_one_line_or_of_no_concern(folder, settings):
    _set(folder, **settings)
    line = ""
    try:
        load_pretrained(BertModel, str(folder), KEY)
    except UserError as error:
        line = str(error)
    assert "\n" not in line
    assert line == "" or line.startswith(f"{KEY}: {folder}: ")


def test_an_adapter_is_refused(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere", "peft_type": "LORA"}')
    assert _refused(folder) == "holds an adapter, not a whole model; merge it into its base model"


@pytest.mark.parametrize("shard", ["../stolen.safetensors", "/etc/passwd", "..", "sub/part.safetensors", ""])
@pytest.mark.parametrize("index", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_shards_outside_the_folder_are_refused(folder, index, shard):
    (folder / "model.safetensors").rename(folder.parent / "stolen.safetensors")
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": {"pooler.dense.bias": shard}}))
    assert _refused(folder) == f"{index}: names {shard}, outside the folder; get the model's files again"


def test_whole_shards_are_read(folder):
    network = load_pretrained(BertModel, str(folder), KEY)
    weights = load_file(folder / "model.safetensors")
    network.save_pretrained(folder, max_shard_size="5KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    again = load_pretrained(BertModel, str(folder), KEY)
    assert all(torch.equal(value, weights[key]) for key, value in again.state_dict().items())
    next(folder.glob("model-*.safetensors")).unlink()
    assert "which is missing; get the model's files again" in _refused(folder)


def test_pipes_and_pointers_among_the_weights(folder):
    weights = folder / "model.safetensors"
    weights.unlink()
    os.mkfifo(weights)
    assert _refused(folder).startswith("model.safetensors is a pipe, a socket or a device; get the model's files")
    assert model_revision(str(folder)) == f"name:{folder}"
    weights.unlink()
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    assert _refused(folder).startswith(f"cannot be loaded: {weights}: is a Git LFS pointer, not the weights themselves")


def test_nan_weights_are_refused(folder):
    network = load_pretrained(BertModel, str(folder), KEY)
    with torch.no_grad():
        network.encoder.layer[1].output.dense.weight[0, 0] = float("nan")
    network.save_pretrained(folder)
    with pytest.raises(UserError, match=r"holds NaN or infinite values in encoder\.layer\.1\.output\.dense\.weight"):
        load_pretrained(BertModel, str(folder), KEY)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            {"type": "shutil.rmtree", "path": ""},
            "modules.json names the code shutil.rmtree, which is not run; name another model",
        ),
        (
            {"type": "sentence_transformers.util.http_get", "path": ""},
            "modules.json names sentence_transformers.util.http_get, which embeds no text; name another model",
        ),
        (
            {"type": "sentence_transformers.models.Transformer", "path": "../other"},
            "modules.json names ../other, outside the folder; get the model's files again",
        ),
        (
            {"type": "sentence_transformers.models.Transformer"},
            "cannot be loaded: modules.json: 'path'; get the",
        ),
    ],
)
def test_modules_with_code_of_their_own_or_outside_the_folder(folder, module, message):
    (folder / "modules.json").write_text(json.dumps([module]))
    assert _refused(folder).startswith(message)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_pipes_and_devices_are_not_read(folder, name, kind):
    module = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
    (folder / "modules.json").write_text(json.dumps([module]))
    (folder / "1_Pooling").mkdir()
    (folder / name).unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    message = f"{Path(name).name} is a pipe, a socket or a device; get the model's files again"
    if name == "config.json":
        (folder / "modules.json").write_text("[]")
    assert _refused(folder) == message


@pytest.mark.parametrize(
    "table", [b"", b"abc", b"\xff\xff\xff\xff", b"\4\0\0\0abc", b"\3\0\0\0abcd", b"\4\0\0\0abcd\xff", None]
)
def test_tables_of_characters_that_would_end_the_process(folder, table):
    path = folder / "tokenizer.json"
    charsmap = "no base64" if table is None else base64.b64encode(table).decode()
    normalizer = {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": charsmap}]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": normalizer}))
    assert _refused(folder) == "tokenizer.json holds a broken precompiled_charsmap; get the file again"


def test_tables_of_characters_that_the_library_writes_are_taken(folder):
    path = folder / "tokenizer.json"
    # one unit of an empty trie, and one string
    charsmap = base64.b64encode(b"\4\0\0\0" + bytes(4) + b"a\0").decode()
    normalizer = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": normalizer}))
    assert find_model(str(folder), KEY) == folder


def test_modules_without_end(folder):
    module = {"type": "sentence_transformers.models.Normalize", "path": ""}
    (folder / "modules.json").write_text(json.dumps([module] * 1001))
    assert _refused(folder).startswith("cannot be loaded: modules.json: names 1001 modules, expected at most 1000")


def test_code_of_a_known_type_is_not_run(folder, tmp_path):
    (folder / "trap.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'sprung')!r}).touch()\n")
    _set(folder, auto_map={"AutoConfig": "trap.Config", "AutoModel": "trap.Model"}, trust_remote_code=True)
    assert read_config(str(folder), KEY).model_type == "bert"
    load_pretrained(BertModel, str(folder), KEY)
    load_frozen_text(str(folder), KEY)
    assert not (tmp_path / "sprung").exists()


def test_a_file_in_place_of_a_folder(tmp_path):
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(UserError, match=rf"^{KEY}: {tmp_path}/model.pt: is a file, expected a folder or a name"):
        find_model(str(tmp_path / "model.pt"), KEY)
