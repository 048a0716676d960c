"""Tiny corpora of sounds and of pictures with a tiny language model, and the YAML of a run on each."""

import itertools
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from preprocessing import audio_embeddings, clotho_dataset, flickr8k_dataset, image_embeddings
from tests import tiny, tiny_language, tiny_models

ADAPTER = {"name": "MeanPoolingAdapter", "tokens": 4, "hidden_dim": 64, "standardise": True}


def settings_of(folder: Path, kind: str) -> dict:
    """The settings of a run that learns its captions by heart in seconds."""
    settings = tiny.conf(folder)
    del settings["criterion"]
    data = {"root": str(folder / "corpus"), "features": str(folder / "features")}
    if kind == "sounds":
        data |= {"audio_embeddings": {"model": str(folder / "encoder")}, "max_duration_s": 2.0}
    else:
        data |= {"image_embeddings": {"model": str(folder / "encoder")}}
    return settings | {
        "task": "captioning" if kind == "sounds" else "captioning_images",
        "experiment": f"tiny-{kind}",
        "data": data,
        "model": {"adapter": dict(ADAPTER), "language_model": {"name": str(folder / "language")}},
        "optimizer": {"name": "AdamW", "lr": 3e-2, "weight_decay": 0.0},
        "lr_scheduler": {"name": "WarmupCosine", "warmup_epochs": 0},
        "training": {"epochs": 2, "batch_size": 4, "device": "cpu", "sample_clips": 4},
        "generation": {"max_new_tokens": 8},
        "ray": {"num_samples": 1, "scheduler": "fifo"},
    }


def write(folder: Path, kind: str) -> Path:
    """Corpus, encoder, language model, tables and frames, by the real scripts; returns the path of the YAML."""
    tiny_language.write_qwen3(folder / "language")
    conf = write_conf(folder, kind)
    if kind == "sounds":
        tiny.write_corpus(folder / "corpus", captions=1)
        tiny_models.write_wav2vec2(folder / "encoder")
        clotho_dataset.main(["--conf", str(conf), "--workers", "1"])
        audio_embeddings.main(["--conf", str(conf), "--workers", "1", "--frames"])
    else:
        write_pictures(folder / "corpus")
        tiny_models.write_clip_vision(folder / "encoder")
        flickr8k_dataset.main(["--conf", str(conf)])
        image_embeddings.main(["--conf", str(conf), "--workers", "1"])
    return conf


def write_conf(folder: Path, kind: str, **changes: object) -> Path:
    """The YAML; `changes` replace whole sections."""
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(settings_of(folder, kind) | changes))
    return path


def write_pictures(root: Path) -> None:
    """Noise in Flickr8k's layout: captions.txt, Images, and the official lists of the splits."""
    rng = np.random.default_rng(0)
    (root / "Images").mkdir(parents=True)
    rows = ["image,caption"]
    numbers = itertools.count()
    for split, count in (("train", 8), ("dev", 4), ("test", 4)):
        names = []
        for _ in range(count):
            name = f"{next(numbers)}.png"
            Image.fromarray(rng.integers(0, 255, (40, 48, 3), np.uint8)).save(root / "Images" / name)
            rows.append(f"{name},{' '.join(rng.choice(tiny.WORDS, 5))}")
            names.append(name)
        (root / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names) + "\n")
    (root / "captions.txt").write_text("\n".join(rows) + "\n")
