import json

import pytest
import torch

from models.caption_language_model import (
    CONTEXT,
    SmallModelSettings,
    _batch,
    caption_documents,
    new_language_model,
    perplexity,
    train_language_model,
    word_tokenizer,
)
from preprocessing import caption_language_model
from utils.cli_utils import UserError

CAPTIONS = ["A dog barks twice, then rain falls.", "Don't stop: the dog's high-pitched bark!", "rain (loud) falls"]


def test_decoding_gives_back_the_text_in_lower_case():
    tokenizer = word_tokenizer(CAPTIONS, 100)
    for text in CAPTIONS:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text.lower()
    assert tokenizer.decode(tokenizer("  A  dog barks , twice . ")["input_ids"]) == "a dog barks, twice."
    unknown = tokenizer("a zebra barks")["input_ids"]
    assert unknown[1] == tokenizer.unk_token_id
    assert tokenizer.decode(unknown, skip_special_tokens=True) == "a barks"


def test_the_vocabulary_holds_the_most_frequent_words():
    tokenizer = word_tokenizer(["a b b c c c", "d"], 4)
    assert tokenizer.get_vocab() == {"<|end|>": 0, "<|unknown|>": 1, " c": 2, " b": 3}


def test_documents_are_captions_with_their_ends_and_padding_is_no_label():
    tokenizer = word_tokenizer(["a b"], 10)
    (document,) = caption_documents(tokenizer, [["a b", "b"]])
    assert document == [[2, 3, 0], [3, 0]]
    inputs, labels = _batch([[2, 3, 0], [3, 0]], 0)
    assert inputs.tolist() == [[0, 2, 3], [0, 3, 0]]
    assert labels.tolist() == [[2, 3, 0], [3, 0, -100]]
    assert len(caption_documents(tokenizer, [["a " * 400]])[0][0]) == CONTEXT - 1


def test_the_perplexity_of_a_network_that_knows_nothing_is_the_number_of_words():
    class Even(torch.nn.Module):
        class config:  # noqa: N801
            eos_token_id = 0

        def forward(self, inputs, use_cache):
            return type("Output", (), {"logits": torch.zeros(*inputs.shape, 7)})

    found = perplexity(Even(), [[[2, 3, 0], [3, 0]], [[1, 0]]])
    assert found == pytest.approx((7, 7), rel=1e-5)


def test_it_learns_the_form_of_captions():
    clips = [[f"the {animal} sings", f"hear the {animal}"] for animal in "abcdefgh"]
    tokenizer = word_tokenizer([text for captions in clips for text in captions], 100)
    settings = SmallModelSettings(32, 1, 100, 120, 8, 1e-2, 0)
    documents, losses = caption_documents(tokenizer, clips), []
    network = new_language_model(tokenizer, settings)
    before = perplexity(network, documents)
    reached = train_language_model(network, documents, documents, settings, losses.append)
    assert before.alone == pytest.approx(len(tokenizer), rel=0.1)
    # nothing tells which of the eight it is, nor which of the two forms comes first: 1 + 3 bits on the way to the end
    assert reached.alone < 2.5
    assert reached == perplexity(network, documents)
    assert len(losses) == 120


def run(prepared, *arguments):
    caption_language_model.main(
        ["--conf", str(prepared / "conf.yaml"), "--steps", "60", "--hidden-size", "32", "--layers", "1", *arguments]
    )


def test_it_writes_a_model_that_every_loader_opens(prepared, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from utils.pretrained_utils import find_model

    run(prepared)
    folder = prepared / "features" / "language_model"
    printed = capsys.readouterr().out
    assert f"wrote {folder}: perplexity on the captions of 4 clips of validation: " in printed
    assert f"--set model.language_model.name={folder}\nnext: " in printed
    assert find_model(str(folder), "key") == folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert len(tokenizer) == network.config.vocab_size
    assert network.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.pad_token_id == 0
    assert json.loads((folder / "training.json").read_text())["perplexity"]["alone"] > 1
    weights = (folder / "model.safetensors").read_bytes()

    run(prepared)
    assert f"reused {folder}: " in capsys.readouterr().out
    run(prepared, "--seed", "1")
    assert f"{folder} is replaced, and runs trained with it refuse the new one; again: " in capsys.readouterr().out
    made_by = json.loads((folder / "training.json").read_text())["made_by"]
    assert made_by.endswith("--steps 60 --hidden-size 32 --layers 1 --vocabulary 8192 --seed 1")
    assert (folder / "model.safetensors").read_bytes() != weights
    run(prepared, "--seed", "0")
    assert (folder / "model.safetensors").read_bytes() == weights
    assert [path.name for path in folder.parent.glob(".language*")] == []


def test_a_kill_leaves_the_model_that_was_there(prepared, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    folder = prepared / "features" / "language_model"
    monkeypatch.setattr(caption_language_model, "write_json", killed)
    assert _stopped(prepared)
    assert not folder.exists()
    monkeypatch.undo()
    run(prepared, "--steps", "2")
    weights = (folder / "model.safetensors").read_bytes()
    monkeypatch.setattr(caption_language_model, "write_json", killed)
    assert _stopped(prepared, "--seed", "3", "--steps", "2")
    assert (folder / "model.safetensors").read_bytes() == weights
    assert [path.name for path in folder.parent.glob(".language*")] == []


def _stopped(prepared, *arguments):
    try:
        run(prepared, *arguments)
    except (KeyboardInterrupt, SystemExit):
        return True
    return False


def test_what_it_cannot_use_is_refused_in_one_line(prepared, capsys):
    folder = prepared / "features" / "language_model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for arguments, problem in (
        ([], f"{folder}: holds no training.json of preprocessing.caption_language_model, so that it is not replaced"),
        (["--hidden-size", "40"], "--hidden-size 40: expected a multiple of 32, the width of an attention head"),
    ):
        assert main_code(prepared, *arguments) == 2
        assert problem in capsys.readouterr().err
    assert (folder / "config.json").read_text() == "{}"


def main_code(prepared, *arguments):
    try:
        return run(prepared, *arguments)
    except UserError:
        return 2
    except SystemExit as stop:
        return stop.code
