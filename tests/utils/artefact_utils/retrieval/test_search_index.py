"""The file of an index and its notes: mapped, and refused where they are not what was written."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.utils.index_utils.clusters import clustered
from utils.artefact_utils.retrieval.search_index import (
    SearchIndexNotes,
    map_search_index,
    notes_file,
    read_index_notes,
    write_index_notes,
    write_search_index,
)
from utils.cli_utils import ArtefactError
from utils.index_utils import INDEX_KINDS, build_index, plan_index

WIDTH = 16
VECTORS = clustered(600, WIDTH, 1)


def write(path, kind="flat", vectors=VECTORS, **others):
    plan = plan_index(kind, len(vectors), WIDTH, 1e9)
    index = build_index(plan, vectors, "dot", 0, lambda added: None)
    written = write_search_index(path, index)
    facts = {"made_by": "x", "checkpoint": "c", "clips_digest": "d", "similarity": "dot", "effort": plan.efforts[0]}
    facts |= {"recall_at_10": 1.0, "queries": 1, "ms_per_query": 1.0, "threads": 1, "seed": 0, "faiss": "1"}
    notes = SearchIndexNotes(**facts | plan._asdict() | {"padded_width": plan.padded_width} | written | others)
    write_index_notes(path, notes)
    return index, notes


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_an_index_is_mapped_and_finds_what_it_found_in_memory(kind, tmp_path):
    path = tmp_path / "x_index.faiss"
    index, notes = write(path, kind)
    assert read_index_notes(path, "again") == notes
    mapped = map_search_index(path, notes, "again")
    assert str(path) in Path("/proc/self/maps").read_text()
    for one, two in zip(index.search(VECTORS[:20], 5), mapped.search(VECTORS[:20], 5), strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_index_without_notes_is_not_complete(tmp_path):
    path = tmp_path / "x_index.faiss"
    write(path)
    (tmp_path / ".x_index.faiss.partial-1").write_bytes(b"of a killed process")
    write_search_index(path, build_index(plan_index("flat", 5, WIDTH, 1e9), VECTORS[:5], "dot", 0, lambda added: None))
    assert read_index_notes(path, "again") is None
    assert list(tmp_path.iterdir()) == [path]


def corrupted(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_file_that_is_not_the_one_of_the_notes_is_refused_in_one_line(tmp_path):
    path, other = tmp_path / "x_index.faiss", tmp_path / "y_index.faiss"
    _, notes = write(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ArtefactError, match=rf": has {len(content) - 1} bytes, expected {len(content)}: it is not who"):
        map_search_index(path, notes, "again")
    for offset in (0, 10, len(content) - 1):
        path.write_bytes(content)
        corrupted(path, offset)
        with pytest.raises(ArtefactError, match=r"is damaged, or another file than x_index\.json is of; again"):
            map_search_index(path, notes, "again")
    path.unlink()
    with pytest.raises(ArtefactError, match=r"x_index\.faiss: no such file; again"):
        map_search_index(path, notes, "again")
    _, others = write(other, vectors=VECTORS[:7])
    wrong = others.model_copy(update={"clips": 8})
    with pytest.raises(ArtefactError, match=r"holds 7 vectors of width 16, expected 8 vectors of width 16; again"):
        map_search_index(other, wrong, "again")


def test_a_crafted_file_that_fits_its_notes_is_refused_by_faiss(tmp_path):
    path = tmp_path / "x_index.faiss"
    write(path)
    path.write_bytes(b"IxFI" + b"\xff" * 100)
    from utils.artefact_utils.retrieval import search_index

    facts = json.loads(notes_file(path).read_text()) | {"bytes": 104, "digest": search_index._digest(path)}
    with pytest.raises(ArtefactError, match=r"x_index.faiss: faiss cannot read it \(.*out of range.*\); again"):
        map_search_index(path, SearchIndexNotes(**facts), "again")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "tree"}', '{"format_version": 2}'])
def test_broken_notes_are_refused_in_one_line(content, tmp_path):
    path = tmp_path / "x_index.faiss"
    notes_file(path).write_text(content)
    with pytest.raises(ArtefactError, match=r"^[^\n]*x_index.json: not the notes of an index \([^\n]+\); again$"):
        read_index_notes(path, "again")


def test_a_full_disk_keeps_its_name(tmp_path, monkeypatch):
    import faiss

    path = tmp_path / "x_index.faiss"
    write_to = faiss.write_index
    monkeypatch.setattr(faiss, "write_index", lambda index, name: write_to(index, "/dev/full"))
    index = faiss.IndexFlatIP(400)
    index.add(np.zeros((10_000, 400), np.float32))
    with pytest.raises(OSError, match=r"No space left on device") as error:
        write_search_index(path, index)
    assert error.value.errno == 28
    assert list(tmp_path.iterdir()) == []
