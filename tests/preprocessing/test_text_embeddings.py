"""One script under three names: the same vectors, each file naming the command that was called."""

import numpy as np
import pytest

from preprocessing import clip_embeddings, sbert_embeddings, text_embeddings
from tests.postprocessing.commands import run
from utils.artefact_utils import load_pickle

SCRIPTS = [text_embeddings, sbert_embeddings, clip_embeddings]


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.SCRIPT for script in SCRIPTS])
def test_each_name_writes_the_same_vectors(prepared, capsys, script):
    path = prepared / "features" / "sbert_embeds.pkl"
    before, _ = load_pickle(path, "")
    path.unlink()
    result = run(script.main, capsys, prepared, "--batch-size", "7")
    assert result.code == 0
    made, notes = load_pickle(path, "")
    assert list(made) == list(before)
    for tid, vector in made.items():
        np.testing.assert_allclose(vector, before[tid], atol=1e-5)
    assert f"-m {script.SCRIPT} --conf" in notes["made_by"]
    assert result.out.splitlines()[-1].startswith("next: python main.py --conf")
    assert ("not CLIP's" in result.out) == (script is clip_embeddings)
