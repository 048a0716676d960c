"""Stage 1 on a cluster of two nodes: the bytes of one machine, also where actors, nodes or the command are killed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.frozen import caption_chunks
from preprocessing import audio_logmel
from tasks import stage_1
from tests import tiny
from tests.preprocessing import embedding_corpus, image_corpus, logmel_corpus
from tests.preprocessing.test_audio_features import Corpus as FeatureCorpus
from tests.preprocessing.test_sbert_embeddings import Data
from tests.ray_cluster import PlantedWork, two_nodes
from utils.tune_utils import ActorShape, stage_1_cluster

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def nodes():
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def joined(nodes, tmp_path_factory):
    """The cluster, joined once for all tests of this module."""
    features = tmp_path_factory.mktemp("joined")
    with stage_1_cluster(nodes.address, features, [features]) as cluster:
        yield cluster
    assert not list(features.iterdir())


@pytest.fixture
def on_cluster(joined, monkeypatch):
    """Let scripts use the cluster that is joined; gives what they asked every machine to see."""
    asked = []

    @contextlib.contextmanager
    def there(address, features, seen):
        asked.append((address, features, list(seen)))
        yield joined._replace(machines=joined.machines[:1])  # one actor: each takes seconds to import torch

    monkeypatch.setattr(stage_1, "stage_1_cluster", there)
    return asked


def same_under_ray(corpus, *arguments):
    """Run a script on one machine and, for its largest split, on the cluster; the files are the same bytes."""
    assert corpus.run(*arguments) == 0
    wanted = corpus.bytes()
    corpus.path().unlink()
    assert corpus.run("--ray", *arguments) == 0
    assert corpus.bytes() == wanted


def test_log_mels(tmp_path, monkeypatch, on_cluster, capsys):
    monkeypatch.setattr(audio_logmel, "_PART_S", 1.2)  # several parts
    corpus = logmel_corpus.Corpus(tmp_path)
    same_under_ray(corpus)
    ((address, features, seen),) = on_cluster
    assert (address, features) == (None, corpus.features)
    assert seen == [corpus.root, *(corpus.root / s / n[0] for s, n in corpus.names.items())]
    printed = capsys.readouterr()
    assert "Ray on 1 machine: up to 1 process of 1 processor\n" in printed.out
    assert "development: log-mels: 100%" in printed.err
    assert "clip/s" in printed.err
    assert corpus.others() == []
    # clips that cannot be decoded are reported alike; ray.address alone leads to the cluster
    (corpus.root / "development" / "3.wav").write_bytes(b"no sound")
    (corpus.root / "development" / "6.wav").write_bytes(b"no sound either")
    table = corpus.features / "development_audio_logmels_failed.csv"
    found = []
    for where in ([], ["--set", "ray.address=10.0.0.1:1"]):
        corpus.path().unlink(missing_ok=True)
        assert corpus.run(*where) == 2
        found.append((table.read_bytes(), logmel_corpus.last_line(capsys).split("leave these")[0]))
    assert found[0] == found[1]
    assert [line.split(",")[1] for line in found[0][0].decode().splitlines()] == ["fname", "3.wav", "6.wav"]
    assert on_cluster[1][0] == "10.0.0.1:1"


def test_features_of_tracks(tmp_path, on_cluster):
    same_under_ray(FeatureCorpus(tmp_path, clips=2))


def test_embeddings_of_clips(tmp_path, on_cluster):
    embedding_corpus.write_raw(tmp_path / "made")
    corpus = embedding_corpus.copied(tmp_path / "made", tmp_path)
    corpus.write("development 2.wav", torch.zeros(40).numpy())  # too short to give a frame
    same_under_ray(corpus)
    assert len(corpus.failed()) == 2
    assert corpus.folder / "wav2vec2" in on_cluster[0][2]


def test_vectors_of_captions(raw, monkeypatch, on_cluster):
    monkeypatch.setattr(caption_chunks, "CHUNK", 7)  # several chunks
    data = Data(raw)
    assert data.run() == 0
    wanted = data.path.read_bytes()
    data.path.unlink()
    assert data.run("--ray") == 0
    assert data.path.read_bytes() == wanted
    assert not data.unfinished.exists()


def test_frames_of_pictures(tmp_path, monkeypatch, on_cluster):
    same_under_ray(image_corpus.Corpus(tmp_path, monkeypatch))


def test_an_actor_that_is_killed_is_replaced(joined, tmp_path):
    chunks = [[f"{n}a", f"{n}b"] for n in range(5)] + [["bad"]]
    counted = []
    found = joined.executor(ActorShape(1))(PlantedWork(tmp_path, "2b"), chunks, counted.append)
    assert sorted(found) == [*([[]] * 5), [("bad", "is bad")]]
    assert sum(counted) == 11
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written.pop("killed") == ""
    assert written == {chunk[0]: " ".join(chunk) for chunk in chunks}


def test_a_node_that_dies_is_survived(nodes, joined, tmp_path):
    chunks = [[str(n)] for n in range(12)]
    executor = joined.executor(ActorShape(1))
    assert executor.actors == 2
    done = executor(PlantedWork(tmp_path), chunks, lambda count: None)
    next(done)
    nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
    assert len(list(done)) == 11
    assert {path.name for path in tmp_path.iterdir()} == {str(n) for n in range(12)}
    nodes.add_node(num_cpus=1)


KILLED = """
import os, signal, sys
from preprocessing import audio_logmel
from utils import executors
audio_logmel._PART_S = 0.6
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background inherits that it is ignored

def run_chunks(executor, work, chunks, label, **options):
    for failed in executor(work, chunks, print):
        signal.raise_signal(signal.{signal})

from utils.data_utils import clip_writing
clip_writing.run_chunks = run_chunks
audio_logmel.main(sys.argv[1:])
"""


def interrupted(corpus, number, *arguments):
    """Run the script under Ray in a process that gets a signal when the first chunk is done; returns it, ended."""
    script = KILLED.format(signal=number.name)
    return subprocess.run(
        [sys.executable, "-c", script, "--conf", str(corpus.conf), "--ray", *arguments],
        cwd=tiny.ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_command_that_is_killed_goes_on(tmp_path, nodes):
    corpus = logmel_corpus.Corpus(tmp_path)
    corpus.run()
    wanted = corpus.bytes()
    corpus.path().unlink()
    done = interrupted(corpus, signal.SIGKILL, "--set", f"ray.address={nodes.address}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(corpus.features.glob("development*.parts-*/part-*"))
    assert corpus.run() == 0  # with the processes of this machine, which go on from the actors' files
    assert corpus.bytes() == wanted
    assert corpus.others() in ([], ["development_audio_logmels.hdf5.parts-48cb6e3e"])


def test_a_signal_ends_a_ray_of_its_own_without_a_trace(tmp_path):
    """SIGTERM, for which Ray has a handler of its own; Ctrl-C has the same one of ours."""
    corpus = logmel_corpus.Corpus(tmp_path)
    scratch = Path("/tmp") / f"s1-{os.getpid()}"
    scratch.mkdir()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_TMPDIR", str(scratch))
            done = interrupted(corpus, signal.SIGTERM)
        assert done.returncode == 130, done.stderr
        assert "Ray on this machine: up to" in done.stdout
        assert done.stderr == "interrupted; the same command goes on from here\n"
        assert not list(scratch.iterdir())
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _is_there(path)]
        assert not [command for command in commands if str(scratch).encode() in command]
        assert list(corpus.features.glob("development*.parts-*/part-*"))
    finally:
        shutil.rmtree(scratch)


def _is_there(path):
    try:
        return bool(path.read_bytes())
    except OSError:  # it has ended
        return False
