"""Clips embedded under Ray on a GPU: the bytes of the command alone on the same GPU."""

import pytest

from tests.preprocessing import embedding_corpus

pytestmark = pytest.mark.gpu


@pytest.mark.timeout(600)
def test_an_actor_on_the_gpu_writes_the_bytes_of_the_command_alone(tmp_path, capsys):
    embedding_corpus.write_raw(tmp_path / "made")
    corpus = embedding_corpus.copied(tmp_path / "made", tmp_path)
    options = ("--device", "cuda", "--precision", "bf16")
    assert corpus.run(*options) == 0
    wanted = corpus.bytes()
    corpus.remove()
    assert corpus.run("--ray", *options) == 0
    assert corpus.bytes() == wanted
    assert "of 1 GPU\n" in capsys.readouterr().out
