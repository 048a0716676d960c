"""search --index, as its users see it."""

import json
import re
import shlex
import shutil

import pytest

from postprocessing import search
from tasks.retrieval import clip_index
from tests.postprocessing.commands import command_of, error_of, run
from tests.postprocessing.test_search import hits
from utils.artefact_utils.retrieval.mapped_embeddings import write_mapped_embeddings

TEXTS = ["a dog barks twice", "rain falls on a roof"]


def trial_of(trained):
    return trained / "runs" / "tiny" / "trial_00000"


def test_an_index_is_built_once_and_gives_the_lists_of_exact_search(trained, capsys):
    exact = run(search.main, capsys, trained, *TEXTS)
    first = run(search.main, capsys, trained, "--index", *TEXTS)
    path = trial_of(trained) / "evaluation_index.faiss"
    assert f"wrote {path}\nwrote {path.with_suffix('.json')}" in first.out
    assert "embedding 4 clips" in first.out
    notes = json.loads(path.with_suffix(".json").read_text())
    assert (notes["kind"], notes["clips"], notes["recall_at_10"], notes["queries"]) == ("flat", 4, 1.0, 8)
    assert notes["bytes"] == path.stat().st_size
    assert notes["checkpoint"].startswith("trial_00000/checkpoint_")
    assert shlex.split(notes["made_by"])[-2:] == ["--index", "--rebuild-index"]
    later = run(search.main, capsys, trained, TEXTS[0], "--index", TEXTS[1], "--split", "evaluation")
    line = f"evaluation_index.faiss: flat; {path.stat().st_size / 1e6:.1f} MB; recall@10 1.000 of an exact search (8 ca"
    assert line in later.out
    assert "wrote" not in later.out
    assert "embedding" not in later.out
    assert hits(first.out) == hits(exact.out)
    assert hits(later.out) == hits(exact.out)[::-1]  # the text after --index is the first
    assert not list(trial_of(trained).glob(".*"))


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_every_kind_from_text_and_sound(kind, trained, capsys):
    clip = str(trained / "corpus" / "development" / "development 1.wav")
    exact = run(search.main, capsys, trained, "a dog barks", "--all-splits", "--audio", clip, "--top", "4")
    found = run(
        search.main, capsys, trained, "a dog barks", "--all-splits", "--index", kind, "--audio", clip, "--top", "4"
    )
    assert f"all_splits_index.faiss: {kind}, " in found.out
    assert found.out[found.out.index('\n"a dog') :] == exact.out[exact.out.index('\n"a dog') :]


def test_an_index_without_a_query_and_of_a_folder(trained, capsys):
    folder = trained / "corpus" / "validation"
    built = run(search.main, capsys, trained, "--index", "--folder", str(folder))
    assert built.code == 0
    assert "│" not in built.out
    exact = run(search.main, capsys, trained, "a dog barks", "--folder", str(folder))
    same = folder / ".." / "validation"
    found = run(search.main, capsys, trained, "a dog barks", "--folder", str(same), "--index")
    assert "wrote" not in found.out
    assert re.findall("│ .* │", found.out) == re.findall("│ .* │", exact.out)
    shutil.copy(folder / "validation 0.wav", folder / "another.wav")
    message = error_of(run(search.main, capsys, trained, "a dog barks", "--folder", str(folder), "--index"))
    assert "_index.faiss: the clips have changed since it was built (4 clips then, 5 now); build the index a" in message
    again = shlex.split(message.partition("build the index again: ")[2])
    assert again[-4:] == ["--folder", str(folder), "--index", "--rebuild-index"]
    rebuilt = run(search.main, capsys, trained, "a dog barks", *again[-4:])
    assert "another.wav" in rebuilt.out


def test_an_index_of_another_checkpoint_is_refused_with_the_command_that_builds_it_again(trained, capsys):
    run(search.main, capsys, trained, "--index", "--checkpoint", "checkpoint_000000")
    message = error_of(
        run(search.main, capsys, trained, "--index", "a bell rings", "--checkpoint", "checkpoint_000001")
    )
    path = trial_of(trained) / "evaluation_index.faiss"
    assert message.startswith(f"{path}: was made with trial_00000/checkpoint_000000 (epoch 1), sha256 ")
    assert ", expected trial_00000/checkpoint_000001 (epoch 2), sha256 " in message
    repair = ("--checkpoint", "checkpoint_000001", "--index", "--rebuild-index")
    assert message.endswith(f"build the index again: {command_of(trained, 'postprocessing.search', *repair)}")
    rebuilt = run(search.main, capsys, trained, "a bell rings", *repair)
    exact = run(search.main, capsys, trained, "a bell rings", *repair[:2])
    assert hits(rebuilt.out) == hits(exact.out)
    assert "checkpoint_000001" in json.loads(path.with_suffix(".json").read_text())["checkpoint"]


def test_a_checkpoint_of_the_same_name_and_other_weights_is_another_one(trained, capsys):
    run(search.main, capsys, trained, "--index", "--checkpoint", "checkpoint_000001")
    one, two = (trial_of(trained) / f"checkpoint_00000{n}" for n in range(2))
    shutil.copytree(one, two, dirs_exist_ok=True)
    message = error_of(run(search.main, capsys, trained, "--index", "a dog barks", "--checkpoint", "checkpoint_000001"))
    assert "was made with trial_00000/checkpoint_000001 (epoch 2), sha256 " in message
    assert ", expected trial_00000/checkpoint_000001 (epoch 1), sha256 " in message


def test_another_kind_and_damaged_files_are_refused(trained, capsys):
    run(search.main, capsys, trained, "--index", "ivf")
    path = trial_of(trained) / "evaluation_index.faiss"
    message = error_of(run(search.main, capsys, trained, "a dog barks", "--index", "hnsw"))
    assert message.startswith(f"{path}: is of kind ivf, found --index hnsw; build the index again: ")
    assert message.endswith("--index hnsw --rebuild-index")
    assert run(search.main, capsys, trained, "a dog barks", "--index", "auto").code == 0
    path.write_bytes(path.read_bytes()[:-7])
    message = error_of(run(search.main, capsys, trained, "a dog barks", "--index"))
    assert ": it is not whole; build the index again: " in message
    path.with_suffix(".json").write_text("{")
    message = error_of(run(search.main, capsys, trained, "a dog barks", "--index"))
    assert "evaluation_index.json: not the notes of an index (" in message
    assert run(search.main, capsys, trained, "a dog barks", "--index", "--rebuild-index").code == 0


def test_an_interrupted_build_goes_on(trained, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    exact = run(search.main, capsys, trained, *TEXTS)
    for name in ("write_search_index", "write_index_notes"):  # before, and after the index was written
        monkeypatch.setattr(clip_index, name, interrupted)
        assert run(search.main, capsys, trained, "--index", *TEXTS).code == 130
        assert not (trial_of(trained) / "evaluation_index.json").exists()
        monkeypatch.undo()
    calls = []
    monkeypatch.setattr(
        clip_index, "write_mapped_embeddings", lambda *given: calls.append(1) or write_mapped_embeddings(*given)
    )
    found = run(search.main, capsys, trained, "--index", *TEXTS)
    assert hits(found.out) == hits(exact.out)
    assert not calls  # the embeddings were complete


def test_embeddings_that_are_gone_are_made_again(trained, capsys):
    first = run(search.main, capsys, trained, "--index", *TEXTS)
    (trial_of(trained) / "evaluation_embeddings.hdf5").unlink()
    assert hits(run(search.main, capsys, trained, "--index", *TEXTS).out) == hits(first.out)


BAD_OPTIONS = [
    (["a dog barks", "--rebuild-index"], "--rebuild-index: builds an index again; say --index too"),
    (["--index", "hsnw", "a dog"], "--index: found 'hsnw', expected one of auto, flat, ivf, hnsw, pq; put a text of"),
    (["--index", "pq"], "--index pq: there are 4 clips, expected at least 256 to learn the codes from; use --index"),
    (["--index", "--index-memory", "1e-9"], "--index-memory 1e-09: an index of kind flat of 4 clips takes "),
    (["--index", "dog"], "--index: found 'dog', expected one of auto, "),
    (["--index", "flat", "a", "dog"], "found 2 queries of one word each; put a text in quotes: "),
]


def test_bad_options_are_refused_in_one_line(trained, capsys):
    for arguments, message in BAD_OPTIONS:
        assert message in error_of(run(search.main, capsys, trained, *arguments))
    for value in ("0", "-1", "nan", "inf", "4GB"):
        result = run(search.main, capsys, trained, "dog", "--index-memory", value)
        assert result.code == 2
        assert f"argument --index-memory: expected a number of gigabytes above 0, got {value}" in result.err
