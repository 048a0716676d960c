"""Tiny things that the tests run on: a corpus in Clotho's layout, a sentence encoder, a conf.yaml."""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import yaml

ROOT = Path(__file__).parents[1]
SPLITS = {"development": 8, "validation": 4, "evaluation": 4}
WORDS = ["a", "dog", "bell", "rain", "barks", "rings", "falls", "once", "twice", "and", "then", "high", "low", "loud"]


def write_corpus(root: Path, captions: int = 2, seed: int = 0) -> None:
    """Tones of 0.3 to 1.2 s, one pitch a clip, with captions of random words."""
    rng = np.random.default_rng(seed)
    for split, clips in SPLITS.items():
        (root / split).mkdir(parents=True)
        rows = []
        for number in range(clips):
            name = f"{split} {number}.wav"
            time_s = np.arange(int(rng.uniform(0.3, 1.2) * 44_100)) / 44_100
            wave = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 4000) * time_s) + 0.01 * rng.standard_normal(len(time_s))
            soundfile.write(root / split / name, wave, 44_100, subtype="PCM_16")
            rows.append([name, *(" ".join(rng.choice(WORDS, 5)) for _ in range(captions))])
        columns = ["file_name", *(f"caption_{n}" for n in range(1, captions + 1))]
        pd.DataFrame(rows, columns=columns).to_csv(root / f"clotho_captions_{split}.csv", index=False)


def write_sentence_encoder(folder: Path, width: int = 16, seed: int = 0) -> None:
    """A random BERT with mean pooling, saved as sentence-transformers saves its models."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(seed)
    bert = folder.with_name(f"{folder.name}-bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    numbered = {piece: number for number, piece in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = BertTokenizerFast(vocab=numbered, model_max_length=64)
    tokenizer.save_pretrained(bert)
    config = BertConfig(
        vocab_size=len(numbered),
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(bert)
    SentenceTransformer(modules=[Transformer(str(bert)), Pooling(width)], device="cpu").save(str(folder))


def conf(folder: Path) -> dict:
    """The settings of a run on the corpus and the encoder of `folder`, small enough for seconds."""
    return {
        "task": "retrieval",
        "experiment": "tiny",
        "output_root": str(folder / "runs"),
        "data": {
            "root": str(folder / "corpus"),
            "features": str(folder / "features"),
            "front_end": {"name": "dcase2023"},
            "max_duration_s": 1.0,
            "text_embeddings": {"model": str(folder / "encoder")},
        },
        "model": {
            "name": "DualEncoderModel",
            "out_dim": 8,
            "audio_encoder": {"name": "CNN10Encoder", "base_channels": 2},
            "text_encoder": {"name": "SentBERTBaseEncoder"},
        },
        "criterion": {"name": "InfoNCE"},
        "optimizer": {"name": "AdamW", "lr": 1e-3},
        "lr_scheduler": {"name": "WarmupCosine"},
        "training": {"epochs": 2, "batch_size": 4, "device": "cpu"},
    }


def clap_conf(folder: Path) -> dict:
    """The settings of a projection of the vectors in vectors.npz into the space of the same sentence encoder."""
    settings = conf(folder)
    settings |= {"task": "clap_projection", "experiment": "tiny-clap"}
    settings["data"] = settings["data"] | {"audio_embeddings": str(folder / "vectors.npz")}
    settings["data"]["text_embeddings"] = {"model": str(folder / "encoder"), "file": "sbert_embeds.pkl"}
    settings["model"] = {
        "name": "DualEncoderModel",
        "audio_encoder": {"name": "AudioProjection", "standardise": True},
        "text_encoder": {"name": "FrozenText"},
    }
    settings["criterion"] = {"name": "InfoNCE", "similarity": "cosine", "learnable_temperature": True}
    return settings


def uncommented(text: str, first_line: str) -> dict:
    """The commented block of a YAML that begins with `first_line`, as a reader who uncomments it gets it."""
    block = first_line + text.split(first_line, 1)[1]
    return yaml.safe_load("\n".join(line.removeprefix("# ").removeprefix("#") for line in block.splitlines()))


def write_vectors(path: Path, width: int = 6, seed: int = 0) -> None:
    """A random vector for every clip of the corpus, by file name, as another program may leave them."""
    rng = np.random.default_rng(seed)
    names = [f"{split} {number}.wav" for split, clips in SPLITS.items() for number in range(clips)]
    np.savez(path, **{name: rng.normal(3, 2, width).astype(np.float32) for name in names})


def write_conf(folder: Path, mapping: dict | None = None) -> Path:
    """conf.yaml in `folder`."""
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump(mapping or conf(folder)))
    return path
