"""Errors say what has to be made; the entry point says how."""

import concurrent.futures
import multiprocessing
import re
from pathlib import Path
from typing import get_args

import pytest

from tasks.base import AudioRun, LabelledRun, TrackRun
from tasks.runs import SYSTEMS
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import Product, has_repairs, make, with_commands

ROOT = Path(__file__).parents[3]
OF_PICTURES = {"image-embeddings"}
OF_SOUNDS = {"log-mels", "audio-embeddings", "taken-over-features", "initial-weights", "exported-encoder"}
OF_SOUNDS |= {"text-embeddings"}
OF_CAPTIONS = {"text-embeddings", "taken-over-features"}  # of tables with captions
OF_MUSIC = {"track-features"}
OF_CAPTIONING = {"captions", "caption-metrics", "language-model"}


@pytest.mark.parametrize("options", [(), ("--fresh",), ("--from", "a b/<c>%20", "--set", "data.root=é")])
def test_options_come_through_a_text_unchanged(options):
    text = f"x.hdf5: no such file; write it: {make('log-mels', *options)}, then {make('training')}"
    assert "\n" not in text
    assert has_repairs(text)
    seen = []
    found = with_commands(text, lambda product, given: seen.append((product, tuple(given))) or f"<{product}>")
    assert seen == [("log-mels", options), ("training", ())]
    assert found == "x.hdf5: no such file; write it: <log-mels>, then <training>"


def _refuse():
    raise ArtefactError(f"x: write it: {make('tables')}")


def test_an_error_crosses_processes():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        error = pool.submit(_refuse).exception()
    assert isinstance(error, ArtefactError)
    assert with_commands(str(error), lambda product, given: product) == "x: write it: tables"


def test_a_text_without_repairs_stays():
    text = "a <make> or <maker log-mels> is no placeholder"
    assert not has_repairs(text)
    assert with_commands(text, lambda product, given: "?") == text


def test_every_product_that_an_error_names_has_a_script_in_every_system():
    """A typo in a product would end as a fault in front of the user; a run on sounds never lacks frames of pictures."""
    source = "\n".join(
        path.read_text() for part in ("utils", "models", "tasks") for path in (ROOT / part).rglob("*.py")
    )
    named = set(re.findall(r"""\bmake\(["']([a-z-]+)["']""", source))
    assert {"tables", "log-mels", "training"} <= named
    for system in SYSTEMS:
        others = [OF_PICTURES if issubclass(system, AudioRun) else OF_SOUNDS]
        others += [] if "captions" in system.scripts else [OF_CAPTIONING]
        others += [OF_CAPTIONS] if issubclass(system, TrackRun | LabelledRun) else []
        others += [] if issubclass(system, TrackRun) else [OF_MUSIC]
        assert named.difference(*others) <= system.scripts.keys(), system.__name__
    assert named <= set(get_args(Product))
