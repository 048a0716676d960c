"""Two runs on one data.features, with another front-end and another text model: both can be scored and searched."""

from postprocessing import search, xmodal_scores
from preprocessing import audio_logmel, sbert_embeddings
from tests.postprocessing.commands import run
from tests.tiny import write_sentence_encoder
from tests.training import run_of, write_trial


def scores(folder, capsys, *settings):
    """The bytes of the score matrix, made anew, and the table that a search prints."""
    result = run(xmodal_scores.main, capsys, folder, *settings)
    assert result.code == 0, result.err
    experiment = "second" if settings else "tiny"
    matrix = (folder / "runs" / experiment / "trial_00000" / "evaluation_xmodal_scores.hdf5").read_bytes()
    found = run(search.main, capsys, folder, *settings, "a dog barks")
    assert found.code == 0, found.err
    return matrix, found.out


def test_a_finished_run_is_scored_as_before_after_another_one_was_prepared_and_trained(trained, capsys):
    before = scores(trained, capsys)
    write_sentence_encoder(trained / "other", width=8, seed=3)
    changes = ["experiment=second", "data.front_end.name=panns", f"data.text_embeddings.model={trained / 'other'}"]
    settings = [part for change in changes for part in ("--set", change)]
    for script in (audio_logmel, sbert_embeddings):
        assert run(script.main, capsys, trained, *settings).code == 0
    write_trial(run_of(trained, *changes))
    second = scores(trained, capsys, *settings)
    assert scores(trained, capsys) == before
    assert scores(trained, capsys, *settings) == second
    for script in (audio_logmel, sbert_embeddings):  # nothing of either is made again
        for arguments in ([], settings):
            assert "wrote" not in run(script.main, capsys, trained, *arguments).out
