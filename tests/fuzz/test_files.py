"""Every kind of file that the project reads, broken and hostile, a few hundred times: read, or refused in one line.

Seeded: the same inputs at every run. To see one again: `inputs_of(kind, folder)[number]`.
"""

import argparse
import dbm.dumb
import hashlib
import json
import os
import pickle
import shelve
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from models.frozen.panns import load_panns
from postprocessing import export, submission, xmodal_scores
from preprocessing import audio_logmel, clotho_dataset, sbert_embeddings
from preprocessing.clotho_dataset import read_captions
from tasks import RunSpec, load_run
from tests import tiny, tiny_models
from tests.fuzz.forked import failures_of
from tests.fuzz.mutations import mutated
from tests.training import run_of, trained_run, write_trial
from utils.artefact_utils import (
    read_audio_embeddings,
    read_clips,
    read_pairs,
    read_text_embeddings,
    read_text_table,
    write_json,
)
from utils.artefact_utils.pairs import KEYS
from utils.artefact_utils.retrieval import ScoreReader, check_submission, read_foreign_scores, read_relevance
from utils.audio_utils import AudioError, probe, read_wave
from utils.cli_utils import UserError
from utils.dataset_utils.labelled_clips import read_labelled_clips
from utils.metric_utils.scores import NonFiniteScoreError
from utils.model_utils import read_history
from utils.pretrained_utils import read_config
from utils.tune_utils import read_revisions
from utils.weight_utils import read_foreign, read_weights

TRIAL = "runs/tiny/trial_00000"
EVAL = "evaluation"
CLIPS, VECTORS, TEXTS = (f"features/{name}" for name in ("audio_info.pkl", "sbert_embeds.pkl", "evaluation_text.csv"))
REFUSALS = (UserError, AudioError, NonFiniteScoreError)


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        file: the one that is broken, in the folder.
        mutations: see tests.fuzz.mutations; taken in turn.
        read: what the commands do with it; takes the folder.
        count: of inputs.
    """

    file: str
    mutations: list[str]
    read: Callable[[Path], object]
    count: int = 300


def conf(folder, *arguments):
    return ["--conf", str(folder / "conf.yaml"), *arguments]


def scores(folder):
    with ScoreReader(folder / TRIAL / "evaluation_xmodal_scores.hdf5", "") as reader:
        reader.left_out()
        for _, block in reader.text_to_audio().blocks():
            block.sum()
        reader.embeddings("audio")


def split_of(folder):
    run_of(folder).build("evaluation").data("evaluation").check()


def vectors(folder):
    run = run_of(folder, f"data.audio_embeddings={folder / 'vectors.npz'}")
    read_audio_embeddings(run.data.audio_source(EVAL), read_clips(folder / CLIPS, EVAL, ""), EVAL)


def trained(folder):
    trained_run(conf(folder))


def checkpoint(folder):
    """Its digest is that of what it holds now: whoever sends a file writes the digest too."""
    facts = folder / TRIAL / "checkpoint_000001" / "checkpoint.json"
    digest = hashlib.blake2b((facts.parent / "checkpoint.pt").read_bytes()).hexdigest()
    write_json(facts, json.loads(facts.read_text()) | {"blake2b": digest})
    trained_run(conf(folder, "--checkpoint", "checkpoint_000001"))


def exported(folder):
    load_panns(str(folder / "runs/tiny/audio_encoder.json"), "key", run_of(folder).data.front_end)


def sound(name):
    def read(folder):
        probe(folder / name)
        read_wave(folder / name, 16_000)

    return read


KINDS = {
    "yaml": Kind("conf.yaml", ["words", "bytes"], lambda f: load_run(conf(f), argparse.ArgumentParser(), RunSpec)),
    "params.json": Kind(f"{TRIAL}/params.json", ["json", "words", "bytes"], trained),
    "checkpoint.json": Kind(f"{TRIAL}/checkpoint_000001/checkpoint.json", ["json", "words", "bytes"], trained, 100),
    "result.json": Kind(f"{TRIAL}/result.json", ["words", "bytes"], lambda f: read_history(f / TRIAL)),
    "checkpoint.pt": Kind(f"{TRIAL}/checkpoint_000001/checkpoint.pt", ["bytes"], checkpoint, 100),
    "audio_info.pkl": Kind("features/audio_info.pkl", ["pickle", "bytes"], lambda f: read_clips(f / CLIPS, EVAL, "")),
    "sbert_embeds.pkl": Kind(
        "features/sbert_embeds.pkl", ["pickle", "bytes"], lambda f: read_text_embeddings(f / VECTORS, None, "")
    ),
    "text.csv": Kind("features/evaluation_text.csv", ["words", "bytes"], lambda f: read_text_table(f / TEXTS, "")),
    "logmels.hdf5": Kind("features/evaluation_audio_logmels.hdf5", ["hdf5", "bytes"], split_of),
    "scores.hdf5": Kind(f"{TRIAL}/evaluation_xmodal_scores.hdf5", ["hdf5", "bytes"], scores),
    "vectors.npz": Kind("vectors.npz", ["npz", "bytes"], vectors),
    "captions.csv": Kind(
        "corpus/clotho_captions_evaluation.csv",
        ["words", "bytes"],
        lambda f: read_captions(f / "corpus/clotho_captions_evaluation.csv"),
    ),
    "scores.csv": Kind("scores.csv", ["words", "bytes"], lambda f: read_foreign_scores(f / "scores.csv")),
    "scores.npz": Kind("scores.npz", ["npz", "bytes"], lambda f: read_foreign_scores(f / "scores.npz")),
    "submission.csv": Kind(
        "scores.csv", ["words", "bytes"], lambda f: check_submission(f / "scores.csv", 2025, ["a", "b"], ["x.wav"])
    ),
    "relevance.csv": Kind("relevance.csv", ["words", "bytes"], lambda f: read_relevance(f / "relevance.csv")),
    "labels.csv": Kind("labels.csv", ["words", "bytes"], lambda f: read_labelled_clips(f / "labels.csv")),
    "weights.pth": Kind("weights.pth", ["bytes"], lambda f: read_weights(f / "weights.pth", "")),
    "weights.safetensors": Kind(
        "weights.safetensors", ["safetensors", "bytes"], lambda f: read_foreign(f / "weights.safetensors", "")
    ),
    "audio_encoder.json": Kind("runs/tiny/audio_encoder.json", ["json", "words", "bytes"], exported),
    "experiment.json": Kind(
        "runs/tiny/experiment.json", ["json", "words", "bytes"], lambda f: read_revisions(f / "runs/tiny")
    ),
    "pairs.pkl": Kind("pairs.pkl", ["pickle", "bytes"], lambda f: read_pairs(f / "pairs.pkl")),
    "shelf.dat": Kind("shelf.db.dat", ["bytes"], lambda f: read_foreign_scores(f / "shelf.db")),
    "shelf.dir": Kind("shelf.db.dir", ["words", "bytes"], lambda f: read_foreign_scores(f / "shelf.db")),
    "config.json": Kind(
        "bert/config.json", ["json", "words", "bytes"], lambda f: read_config(str(f / "bert"), "key"), 150
    ),
    "a.wav": Kind("a.wav", ["wave", "bytes"], sound("a.wav"), 200),
    "a.flac": Kind("a.flac", ["bytes"], sound("a.flac"), 100),
    "a.ogg": Kind("a.ogg", ["bytes"], sound("a.ogg"), 100),
    "a.mp3": Kind("a.mp3", ["bytes"], sound("a.mp3"), 100),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with one good file of every kind."""
    folder = tmp_path_factory.mktemp("whole")
    tiny.write_corpus(folder / "corpus")
    tiny.write_sentence_encoder(folder / "encoder")
    tiny.write_conf(folder)
    clotho_dataset.main(conf(folder))
    audio_logmel.main(conf(folder, "--workers", "1"))
    sbert_embeddings.main(conf(folder))
    write_trial(run_of(folder))
    xmodal_scores.main(conf(folder))
    rows = [{"epoch": n, "mAP@10": 0.5, "train_loss": 1.5} for n in (1, 2)]
    (folder / TRIAL / "result.json").write_text("".join(f"{row}\n".replace("'", '"') for row in rows))
    export.main(conf(folder))
    (folder / "weights.pth").write_bytes((folder / "runs/tiny/audio_encoder.pth").read_bytes())
    save_file(
        {"bn0.weight": torch.ones(4), "x": torch.zeros(2, 3, dtype=torch.float16)}, folder / "weights.safetensors"
    )
    submission.main(conf(folder, "--year", "2025", "--output", str(folder / "scores.csv")))
    tiny.write_vectors(folder / "vectors.npz")
    names = np.array(["a", "b"])
    np.savez(folder / "scores.npz", scores=np.eye(2, dtype=np.float32), queries=names, files=names)
    (folder / "relevance.csv").write_text(
        "query,audio_filenames,relevances\na dog,\"['a.wav', 'b.wav']\",\"[1, 0.5]\"\n" * 1
    )
    (folder / "labels.csv").write_text("filename,fold,target,category\n1.wav,1,0,dog\n2.wav,2,1,rain\n")
    write_json(folder / "runs/tiny/experiment.json", {"format_version": 1, "run": {}, "data": "x", "finished": False})
    rng = np.random.default_rng(0)
    texts = dict.fromkeys(KEYS, "a dog")
    pairs = [texts | {f"{kind}_embedding": rng.random(4) for kind in ("audio", "text")} for _ in range(3)]
    for number, row in enumerate(pairs):
        row["audio_path"] = f"{number}.wav"
    (folder / "pairs.pkl").write_bytes(pickle.dumps(pairs))
    with shelve.Shelf(dbm.dumb.open(str(folder / "shelf.db"))) as shelf:
        shelf.update({fid: {"t1": 0.5, "t2": 0.25} for fid in ("a", "b")})
    tiny_models.write_bert(folder / "bert")
    wave = 0.3 * np.sin(np.arange(8000))
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3"):
        soundfile.write(folder / name, wave, 16_000)
    return folder


def inputs_of(kind: Kind, folder: Path, scratch: Path) -> list[bytes]:
    seed = int.from_bytes(hashlib.blake2b(kind.file.encode(), digest_size=4).digest(), "big")
    return list(mutated(folder / kind.file, kind.mutations, kind.count, np.random.default_rng(seed), scratch))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", KINDS)
def test_it_is_read_or_refused_in_one_line(name, whole, tmp_path, monkeypatch):
    kind = KINDS[name]
    folder, outside, scratch = tmp_path / "folder", tmp_path / "outside", tmp_path / "scratch"
    shutil.copytree(whole, folder)
    for moved in (folder / "conf.yaml", folder / TRIAL / "params.json"):
        text = moved.read_text().replace(str(whole), str(folder))
        moved.write_text(text.replace(str(folder / "encoder"), str(whole / "encoder")))  # the vectors name its place
    for made in (outside, scratch):
        made.mkdir()
    write_json(outside / "sentinel", {"as": "it was"})
    monkeypatch.chdir(outside)
    kind.read(folder)  # whole it is read
    inputs = inputs_of(kind, folder, scratch)
    before = contents(outside)
    found = failures_of(inputs, folder / kind.file, lambda: kind.read(folder), REFUSALS)
    assert contents(outside) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "outside", "scratch"]
    if found and (keep := os.environ.get("FUZZ_KEEP")):  # a folder for what failed
        for failure in found:
            (Path(keep) / f"{failure.number}-{name}").write_bytes(inputs[failure.number])
    assert not found, f"{len(found)} of {len(inputs)}:\n" + "\n".join(f"{f.number}: {f.what}" for f in found)
