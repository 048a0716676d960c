"""The files of the DCASE 2023 baseline, in exactly its layout, made of a corpus by independent means."""

import base64
import pickle
from pathlib import Path

import h5py
import librosa
import numpy as np
import pandas as pd
import soundfile

from models.frozen.text_loading import load_frozen_text
from tests.tiny import SPLITS
from utils.text_utils import normalise_caption


def write_baseline_files(folder: Path, corpus: Path, encoder: Path, seed: int = 0) -> dict[str, dict[str, str]]:
    """Write audio_info.pkl, tables, log-mels, vectors and vocab_info.pkl; returns fid -> file name by split.

    Ids are random, clips stand in no order, and log-mels are float64, as numpy 2 leaves them.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)

    def new_id() -> str:
        return base64.urlsafe_b64encode(rng.bytes(8)).decode("ascii")

    names, durations, texts, bags = {}, {}, {}, {}
    for split in SPLITS:
        files = list(rng.permutation(sorted(path.name for path in (corpus / split).glob("*.wav"))))
        names[split] = {new_id(): str(name) for name in files}
        durations[split] = [soundfile.info(corpus / split / name).duration for name in names[split].values()]
        with h5py.File(folder / f"{split}_audio_logmels.hdf5", "w") as file:
            for fid, name in names[split].items():
                file[fid] = log_mel(corpus / split / name)
        fids = {name: fid for fid, name in names[split].items()}
        wide = pd.read_csv(corpus / f"clotho_captions_{split}.csv")
        rows = [(row.file_name, text) for row in wide.itertuples() for text in row[2:]]
        words = [normalise_caption(text) for _, text in rows]
        table = [
            [new_id(), fids[name], name, raw, text, text.split()] for (name, raw), text in zip(rows, words, strict=True)
        ]
        frame = pd.DataFrame(table, columns=["tid", "fid", "fname", "raw_text", "text", "tokens"])
        frame.to_csv(folder / f"{split}_text.csv", index=False)
        texts |= dict(zip(frame.tid, frame.raw_text, strict=True))
        bags[split] = [word for text in words for word in text.split()]
    dump(folder / "audio_info.pkl", {"audio_fid2fname": names, "audio_durations": durations})
    vectors = load_frozen_text(str(encoder)).vectors(list(texts.values()))
    dump(folder / "sbert_embeds.pkl", dict(zip(texts, vectors, strict=True)))
    dump(folder / "vocab_info.pkl", {"vocabulary": set().union(*bags.values()), "word_bags": bags, "split_infos": {}})
    return names


def log_mel(path: Path) -> np.ndarray:
    """(T, 64) float64: 40 ms windows every 20 ms, ln(mel power + the distance of 1 to the next float64)."""
    wave, rate = librosa.load(path, sr=None, mono=True)
    fft = 2 ** int(np.ceil(np.log2(round(rate * 0.040))))
    mel = librosa.feature.melspectrogram(
        y=wave, sr=rate, n_fft=fft, hop_length=round(rate * 0.020), win_length=round(rate * 0.040), n_mels=64
    )
    return np.log(mel + np.spacing(1)).T


def dump(path: Path, value) -> None:
    path.write_bytes(pickle.dumps(value))
