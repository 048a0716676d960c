"""Fixtures that several tests share; all seeded, offline and small."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

# as in an active environment, where messages say `python`
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Ray gives its workers the lowest share of a core: beside other tests, those that wait for a trial would wait for ever
os.environ.setdefault("RAY_worker_niceness", "0")
torch.set_num_threads(1)

from tests import tiny  # noqa: E402 - after the settings above


@pytest.hookimpl(trylast=True)  # below the slowest tests
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how many tests were skipped, and why; the same reason once."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} test{'s' if count > 1 else ''} skipped: {reason}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") is not None and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a sentence encoder and all features, made once."""
    from preprocessing import audio_logmel, clotho_dataset, sbert_embeddings

    folder = tmp_path_factory.mktemp("made")
    tiny.write_corpus(folder / "corpus")
    tiny.write_sentence_encoder(folder / "encoder")
    path = tiny.write_conf(folder)
    clotho_dataset.main(["--conf", str(path)])
    audio_logmel.main(["--conf", str(path), "--workers", "1"])
    sbert_embeddings.main(["--conf", str(path)])
    return folder


@pytest.fixture
def raw(tmp_path: Path, _made: Path) -> Path:
    """A folder with corpus, encoder and conf.yaml, before stage 1."""
    for name in ("corpus", "encoder"):
        shutil.copytree(_made / name, tmp_path / name)
    tiny.write_conf(tmp_path)
    return tmp_path


@pytest.fixture
def prepared(raw: Path, _made: Path) -> Path:
    """The same after stage 1; the text model is noted under its path here."""
    from utils.artefact_utils import load_pickle, write_text_embeddings

    shutil.copytree(_made / "features", raw / "features")
    vectors, notes = load_pickle(raw / "features" / "sbert_embeds.pkl", "")
    write_text_embeddings(raw / "features" / "sbert_embeds.pkl", vectors, notes | {"model": str(raw / "encoder")})
    return raw


@pytest.fixture(scope="session")
def browser() -> str:
    """What opens pages; a test that needs one is skipped where there is none."""
    from tests import pages

    found = pages.browser()
    if found is None:
        pytest.skip("no Chromium that starts; .ci/browser installs it, on Debian also apt-get install chromium")
    return found


class StartedError(Exception):
    """Ray would have been started."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What ray.init is called with; nothing starts."""
    import ray

    seen: dict = {}

    def init(**keys: object) -> None:
        seen.update(keys)
        raise StartedError

    monkeypatch.setattr(ray, "init", init)
    return seen
