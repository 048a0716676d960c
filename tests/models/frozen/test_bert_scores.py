"""BERTScore of a tiny network: equal to its definition, and one line for networks that do not serve."""

import json

import bert_score.utils
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

from models.frozen.bert_scores import load_bert_scorer
from tests import tiny
from tests.tiny_models import write_bert
from utils.cli_utils import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "encoder"
    tiny.write_sentence_encoder(folder)
    return folder


def by_definition(folder, one, two):
    """F1 of the cosines of the tokens' vectors, each with its best match.

    Start and end may be matched, as in the authors' code, but do not count themselves.
    """
    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    with torch.no_grad():
        states = [network(**tokenizer(t, return_tensors="pt"), output_hidden_states=True) for t in (one, two)]
    vectors = [torch.nn.functional.normalize(s.hidden_states[1][0], dim=-1) for s in states]
    cosines = vectors[0] @ vectors[1].T
    precision, recall = (cosines.max(dim=n).values[1:-1].mean() for n in (1, 0))
    return float(2 * precision * recall / (precision + recall))


def test_scores_are_those_of_the_definition(folder):
    scorer = load_bert_scorer(str(folder), 1, "--bert-model", torch.device("cpu"))
    hypotheses = ["a dog barks", "rain", "a dog barks loudly in the rain"]
    references = [["a dog barks", "rain"], ["a dog", "water falls"], ["a car"]]
    found = scorer.f1(hypotheses, references)
    wanted = [max(by_definition(folder, h, r) for r in of) for h, of in zip(hypotheses, references, strict=True)]
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5)
    alone = [scorer.f1([h], [r])[0] for h, r in zip(hypotheses, references, strict=True)]
    assert np.allclose(found, alone, atol=1e-6)
    assert scorer.f1([], []).shape == (0,)


def test_references_are_embedded_once_for_all_systems(folder, monkeypatch):
    scorer = load_bert_scorer(str(folder), 1, "--bert-model", torch.device("cpu"))
    references = [["a dog barks", "rain"], ["a dog", "water falls"]]
    whole, embedded = bert_score.utils.get_bert_embedding, []
    monkeypatch.setattr(
        bert_score.utils, "get_bert_embedding", lambda texts, *a, **k: embedded.append(texts) or whole(texts, *a, **k)
    )
    first = scorer.f1(["rain falls", "a dog"], references)
    second = scorer.f1(["a car", "rain falls"], references)
    assert [sorted(texts) for texts in embedded] == [
        ["a dog", "a dog barks", "rain", "rain falls", "water falls"],
        ["a car", "rain falls"],
    ]
    again = load_bert_scorer(str(folder), 1, "--bert-model", torch.device("cpu"))
    assert second == pytest.approx(again.f1(["a car", "rain falls"], references), abs=1e-6)
    assert scorer.f1(["rain falls", "a dog"], references) == pytest.approx(first, abs=1e-6)


def test_a_long_caption_is_truncated(folder):
    scorer = load_bert_scorer(str(folder), 1, "--bert-model", torch.device("cpu"))
    assert np.isfinite(scorer.f1(["dog " * 2000], [["a dog"]])).all()


def test_scores_are_those_of_the_package(folder, tmp_path):
    from bert_score import BERTScorer

    hypotheses = ["a dog barks", "rain", "a dog barks", "water falls"]
    references = [["a dog", "rain falls", "a dog barks loudly"], ["rain falls"], ["a car", "rain"], ["a dog", "a car"]]
    expected = BERTScorer(model_type=str(folder), num_layers=1, device="cpu").score(hypotheses, references)[2].numpy()
    scorer = load_bert_scorer(str(folder), 1, "--bert-model", torch.device("cpu"))
    assert scorer.f1(hypotheses, references) == pytest.approx(expected, abs=1e-6)
    within = write_bert(tmp_path / "t5-like" / "scibert")  # names by which the package loads something else
    assert load_bert_scorer(str(within), 2, "--bert-model", torch.device("cpu")).f1(["rain"], [["rain"]])[0] > 0.999


def test_a_tokenizer_without_a_limit(tmp_path):
    folder = write_bert(tmp_path / "bert", positions=16)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    scorer = load_bert_scorer(str(folder), 2, "--bert-model", torch.device("cpu"))
    assert np.isfinite(scorer.f1(["dog " * 100], [["a dog"]])).all()


def test_a_roberta_without_a_limit_uses_no_position_that_it_lacks(tmp_path):
    letters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *"abcdefghijklmnopqrstuvwxyz"]
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=len(letters), max_position_embeddings=20, pad_token_id=1, **sizes)
    RobertaModel(config).save_pretrained(tmp_path)
    RobertaTokenizer(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]).save_pretrained(tmp_path)
    scorer = load_bert_scorer(str(tmp_path), 1, "--bert-model", torch.device("cpu"))
    same, other, _ = scorer.f1(["a dog", "a dog", "dog " * 100], [["a cat", "a dog"], ["rain"], ["rain"]])
    assert other < same == pytest.approx(1, abs=1e-5)


def test_weights_that_are_missing_are_not_drawn_at_random(tmp_path):
    folder = write_bert(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the checkpoint misses 1 weights of a BertModel: encoder\.layer\.0\.output"):
        load_bert_scorer(str(folder), 2, "--bert-model", torch.device("cpu"))


def test_networks_that_do_not_serve(folder, tmp_path):
    with pytest.raises(UserError, match=r"--bert-model: .* has \d+ layers, found 40; choose one from 1 to"):
        load_bert_scorer(str(folder), 40, "--bert-model", torch.device("cpu"))
    with pytest.raises(UserError, match="--bert-model"):
        load_bert_scorer(str(tmp_path / "none"), 1, "--bert-model", torch.device("cpu"))
