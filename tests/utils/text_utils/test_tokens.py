import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from tests import tiny_models
from utils.cli_utils import UserError
from utils.text_utils import Tokenizer, load_tokenizer

KEY = "model.text_encoder.model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_models.write_bert(tmp_path / "bert")


def load(folder: Path, max_tokens: int | None = None, positions: int = 64, vocabulary: int = 70) -> Tokenizer:
    return load_tokenizer(str(folder), KEY, positions, vocabulary, max_tokens)


def test_captions_are_padded_on_the_right_to_the_longest(folder: Path):
    ids, mask = load(folder)(["a dog barks", "rain"])
    pad, cls, sep = 0, 2, 3
    a, dog, rain, barks = 5, 6, 8, 9  # places in tests.tiny.WORDS, after five special tokens
    assert ids.tolist() == [[cls, a, dog, barks, sep], [cls, rain, sep, pad, pad]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.int64)


def test_long_captions_are_cut_before_their_last_token_and_counted(folder: Path):
    tokenizer = load(folder, max_tokens=6)
    ids, mask = tokenizer(["a dog barks once", "a dog barks once twice", "rain", "rain " * 500])
    assert ids.shape == (4, 6)
    assert ids[:, -1].tolist() == [3, 3, 0, 3]
    assert mask.sum(1).tolist() == [6, 6, 3, 6]
    assert tokenizer.truncated == 2  # the first fits exactly
    tokenizer(["a dog barks once twice"])
    assert tokenizer.truncated == 3


def test_the_limit_is_the_smaller_of_network_and_tokenizer(folder: Path):
    assert load(folder, positions=20).max_tokens == 20
    assert load(folder, positions=512).max_tokens == 64
    with pytest.raises(
        UserError, match=rf"^model.text_encoder.max_tokens: 21, but {folder} takes 20 tokens; set 20 or"
    ):
        load(folder, max_tokens=21, positions=20)


def test_a_tokenizer_without_a_token_to_pad_with_is_refused(folder: Path):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": None}))
    assert AutoTokenizer.from_pretrained(folder).pad_token_id is None
    with pytest.raises(
        UserError,
        match=rf"^{KEY}: {folder}: its tokenizer has no token to pad with; set pad_token in its tokenizer_config.json$",
    ):
        load(folder)


def test_a_tokenizer_of_another_network_is_refused(folder: Path):
    with pytest.raises(
        UserError, match=r"its tokenizer has 70 tokens, its network knows 69; take tokenizer and weight"
    ):
        load(folder, vocabulary=69)


def test_a_folder_without_tokenizer_files_is_refused(folder: Path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: holds no tokenizer files; get the model's files again$"):
        load(folder)


def test_broken_tokenizer_files_and_missing_folders_are_refused(folder: Path):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(
        UserError, match=rf"^{KEY}: {folder}: its tokenizer cannot be loaded: .*; name a model with tok"
    ):
        load(folder)
    with pytest.raises(UserError, match=rf"^{KEY}: .*absent: no such folder; correct {KEY}$"):
        load(folder.parent / "absent")
