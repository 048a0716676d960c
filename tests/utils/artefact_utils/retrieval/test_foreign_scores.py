"""Scores of other programs: all formats give the same matrix, and each fault is reported in one line."""

import numpy as np
import pytest

from utils.artefact_utils.retrieval import foreign_scores as module
from utils.artefact_utils.retrieval import read_foreign_scores
from utils.cli_utils import ArtefactError

QUERIES = ["a dog, barking", "rain", "été"]
FILES = ["b.wav", "a, b.wav"]
SCORES = np.array([[0.1, -2.0], [1e-30, 3.5], [7.0, 7.0]], np.float32)
MATRIX = 'query,b.wav,"a, b.wav"\n"a dog, barking",0.1,-2\nrain,1e-30, 3.5\nété,7,7\n'


def write_lists(tmp_path, queries=QUERIES, files=FILES):
    paths = tmp_path / "queries.txt", tmp_path / "files.txt"
    for path, lines in zip(paths, (queries, files), strict=True):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def write(tmp_path, text, name="x.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def message_of(*given):
    with pytest.raises(ArtefactError) as error:
        read_foreign_scores(*given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_form_gives_the_same_matrix(tmp_path):
    lists = write_lists(tmp_path)
    np.save(tmp_path / "x.npy", SCORES)
    np.savez(tmp_path / "x.npz", scores=SCORES, queries=np.array(QUERIES), files=np.array([f.encode() for f in FILES]))
    for found, dtype in (
        (read_foreign_scores(write(tmp_path, MATRIX)), np.float64),
        (read_foreign_scores(tmp_path / "x.npy", *lists), np.float32),
        (read_foreign_scores(tmp_path / "x.npz"), np.float32),
    ):
        np.testing.assert_array_equal(found.scores.astype(np.float32), SCORES)
        assert found.scores.dtype == dtype
        assert (found.queries, found.files, found.depth) == (QUERIES, FILES, None)


def test_npy_is_mapped_and_keeps_its_type(tmp_path):
    for dtype in (np.float16, np.float64):
        np.save(tmp_path / "x.npy", SCORES.astype(dtype))
        found = read_foreign_scores(tmp_path / "x.npy", *write_lists(tmp_path))
        assert isinstance(found.scores, np.memmap)
        assert found.scores.dtype == dtype


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", "<f4"])
def test_floats_of_either_byte_order_are_taken(tmp_path, dtype):
    np.save(tmp_path / "x.npy", SCORES.astype(dtype))
    np.savez(tmp_path / "x.npz", scores=SCORES.astype(dtype), queries=np.array(QUERIES), files=np.array(FILES))
    for given in ((tmp_path / "x.npy", *write_lists(tmp_path)), (tmp_path / "x.npz",)):
        found = read_foreign_scores(*given).scores
        np.testing.assert_array_equal(found, SCORES.astype(dtype))
        assert found.dtype.isnative
        assert found.dtype.itemsize == np.dtype(dtype).itemsize


def test_a_csv_keeps_what_float32_would_not(tmp_path):
    found = read_foreign_scores(write(tmp_path, "query,a,b,c\nrain,0.5,0.500000001,1e39\n"))
    assert found.scores.tolist() == [[0.5, 0.500000001, 1e39]]


@pytest.mark.parametrize(
    "header",
    [
        "caption,file_name_1,file_name_2,file_name_3",  # a submission
        "caption,fname_1,fname_2,fname_3",  # the baseline's results of 2024
        "0,1,2,3",  # and of 2023: pandas names columns by numbers
    ],
)
def test_ranked_names_keep_their_place(tmp_path, header):
    text = f"{header}\nrain ,c.wav,a.wav,b.wav\ndog,a.wav,d.wav,c.wav\n"
    found = read_foreign_scores(write(tmp_path, text))
    assert found.files == ["c.wav", "a.wav", "b.wav", "d.wav"]
    np.testing.assert_array_equal(found.scores, [[0, 1, 2], [1, 3, 0]])
    assert found.depth == 3
    assert found.queries == ["rain ", "dog"]


def test_a_table_of_many_columns_is_read_in_one_pass(tmp_path):
    """10^5 columns, and lists that name 10^6 files: a place for each name of each row would take 200 GB."""
    names = ",".join(f"c{number}" for number in range(100_000))
    ones = ",".join(["1"] * 100_000)
    assert read_foreign_scores(write(tmp_path, f"query,{names}\nrain,{ones}\n")).scores.shape == (1, 100_000)
    assert "line 1: 'c7' occurs twice, as file 8 and 100001" in message_of(write(tmp_path, f"query,{names},c7\n"))
    rows = (f"q{row}," + ",".join(f"n{row}_{place}" for place in range(10)) for row in range(20_000))
    found = read_foreign_scores(write(tmp_path, "\n".join(["0,1,2,3,4,5,6,7,8,9,10", *rows])))
    assert (found.scores.shape, len(found.files)) == ((20_000, 10), 200_000)


def test_messages_show_the_beginning_of_a_cell(tmp_path):
    assert len(message_of(write(tmp_path, f"query,a\nrain,{'9' * 100_000}\n"))) < 300
    assert len(message_of(write(tmp_path, f"query,a,b\nrain,{'x' * 100_000},{'y' * 100_000}\n"))) < 400


def test_a_matrix_whose_files_are_numbers_stays_one(tmp_path):
    found = read_foreign_scores(write(tmp_path, "0,1,2\nrain,0.5,-1\n"))
    assert (found.scores.tolist(), found.files, found.depth) == ([[0.5, -1.0]], ["1", "2"], None)


def test_a_submission_of_2022_has_depth_ten(tmp_path):
    header = ",".join(["caption", *(f"file_name_{n}" for n in range(1, 11))])
    names = [f"{n}.wav" for n in range(10)]
    found = read_foreign_scores(write(tmp_path, f"{header}\nrain,{','.join(names)}\n"))
    assert found.depth == 10
    np.testing.assert_array_equal(found.scores, [np.arange(10)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: 0 columns, expected a query and the names of the files"),
        ("query\nrain\n", "line 1: 1 columns, expected a query and the names of the files"),
        ("query,a.wav\n", "holds no queries, only a header; write a row for every query"),
        ("caption,file_name_1\n", "holds no queries, only a header"),
        ("query,a.wav,b.wav\nrain,1\n", "line 2: 2 cells, expected 3 as in the header"),
        ("query,a.wav\nrain,1,2\n", "line 2: 3 cells, expected 2 as in the header; quote cells that hold a comma"),
        ("query,a.wav,b.wav,a.wav\n", "line 1: 'a.wav' occurs twice, as file 1 and 3; remove one"),
        ("query,a.wav,\n", "line 1: file 2 has no name"),
        ("query,a.wav,b.wav\nrain,1,2\ndog,1,x\n", "line 3: the score of 'b.wav' is 'x', expected a number"),
        ("query,a.wav\nrain,\n", "line 2: the score of 'a.wav' is '', expected a number"),
        ("query,a.wav\nrain,nan\n", "line 2: the score of 'a.wav' is nan, expected a finite number"),
        ("query,a.wav\nrain,-inf\n", "the score of 'a.wav' is -inf, expected a finite"),
        ("query,a.wav\nrain,1e399\n", "the score of 'a.wav' is 1e399, expected a finite number"),
        ("query,a.wav,b.wav\nrain,1,1_0\n", "the score of 'b.wav' is '1_0', expected a number"),
        ("query,a.wav,b.wav\nrain,1,١\n", "the score of 'b.wav' is '١', expected a number"),
        ("query,first,second\nrain,a.wav,b.wav\n", "line 2: not numbers but 'a.wav' and so on; ranked lists have"),
        ("query,a.wav,b.wav\nrain,x,\n", "line 2: the score of 'a.wav' is 'x', expected a number"),
        ("caption,file_name_1,file_name_2\nrain,a,a\n", "line 2: names 'a' twice; name 2 different files"),
        ("caption,file_name_1,file_name_2\nrain,a,\n", "line 2: file_name_2 is empty, expected 2 file names"),
    ],
)
def test_a_broken_csv_is_refused_with_its_line(tmp_path, text, message):
    found = message_of(write(tmp_path, text))
    assert message in found
    assert "x.csv" in found


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"query,a.wav\nrain,1\ncaf\xe9,2\n")
    assert "x.csv, line 3: byte 0xe9 is not UTF-8" in message_of(path)


def test_shapes_must_be_those_of_the_lists(tmp_path):
    np.save(tmp_path / "x.npy", SCORES.T)
    message = message_of(tmp_path / "x.npy", *write_lists(tmp_path))
    assert "x.npy: scores are (2, 3), but" in message
    assert "queries.txt holds 3 names and" in message
    assert "files.txt holds 2; expected a row a query and a column a file" in message
    np.savez(tmp_path / "x.npz", scores=SCORES, queries=np.array(QUERIES), files=np.array(FILES[:1]))
    assert "scores are (3, 2), but queries holds 3 names and files holds 1" in message_of(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", SCORES[0])
    assert "scores are (2,)" in message_of(tmp_path / "x.npy", *write_lists(tmp_path))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_arrays_must_be_finite(tmp_path, monkeypatch, value, word):
    monkeypatch.setattr(module, "_BLOCK_SCORES", 2)  # the bad one is not in the first block
    scores = SCORES.copy()
    scores[2, 1] = value
    np.save(tmp_path / "x.npy", scores)
    np.savez(tmp_path / "x.npz", scores=scores, queries=np.array(QUERIES), files=np.array(FILES))
    expected = f"the score of query 3 'été' and file 'a, b.wav' is {word}, expected a finite number"
    assert expected in message_of(tmp_path / "x.npy", *write_lists(tmp_path))
    assert expected in message_of(tmp_path / "x.npz")


def test_names_in_lists_must_differ(tmp_path):
    np.save(tmp_path / "x.npy", SCORES)
    message = message_of(tmp_path / "x.npy", *write_lists(tmp_path, files=["a", "a"]))
    assert "files.txt: 'a' occurs twice, as file 1 and 2" in message
    np.savez(tmp_path / "x.npz", scores=SCORES, queries=np.array(QUERIES), files=np.array(["a", "a"]))
    assert "x.npz, files: 'a' occurs twice" in message_of(tmp_path / "x.npz")


def test_python_objects_are_never_loaded(tmp_path):
    objects = np.array([["a", 1], ["b", 2]], object)
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "x.npz", scores=objects, queries=objects[0], files=objects[0], allow_pickle=True)
    for given in ((tmp_path / "x.npy", *write_lists(tmp_path)), (tmp_path / "x.npz",)):
        assert "not a complete file of plain numpy arrays" in message_of(*given)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_truncated_file_is_refused(tmp_path, name):
    if name == "x.npy":
        np.save(tmp_path / name, SCORES)
    else:
        np.savez(tmp_path / name, scores=SCORES, queries=np.array(QUERIES), files=np.array(FILES))
    whole = (tmp_path / name).read_bytes()
    lists = write_lists(tmp_path) if name == "x.npy" else ()
    for kept in (0, 20, len(whole) - 9):
        (tmp_path / name).write_bytes(whole[:kept])
        assert f"{name}: not a complete file of plain numpy arrays" in message_of(tmp_path / name, *lists)


def test_what_an_array_must_be(tmp_path):
    np.save(tmp_path / "x.npy", SCORES.astype(int))
    assert "scores are int64, expected float16, float32 or float64" in message_of(
        tmp_path / "x.npy", *write_lists(tmp_path)
    )
    np.savez(tmp_path / "x.npz", scores=SCORES, names=np.array(QUERIES))
    assert "array queries, files is missing, found scores" in message_of(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", scores=SCORES, queries=np.arange(3), files=np.array(FILES))
    assert "queries is int64 (3,), expected a list of texts" in message_of(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", scores=SCORES, queries=np.array([b"a", b"b", b"\xe9"]), files=np.array(FILES))
    assert "queries holds bytes that are not UTF-8" in message_of(tmp_path / "x.npz")
    none = np.zeros((0, 2), np.float32)
    np.savez(tmp_path / "x.npz", scores=none, queries=np.array([], str), files=np.array(FILES))
    assert "scores are (0, 2), expected at least one query and one file" in message_of(tmp_path / "x.npz")


def test_which_files_are_taken(tmp_path):
    assert "x.tsv: suffix '.tsv' is none of .csv, .npy, .npz" in message_of(tmp_path / "x.tsv")
    assert "x.npz: no such file; name a file of scores" in message_of(tmp_path / "x.npz")
    (tmp_path / "folder.csv").mkdir()
    assert "folder.csv: is a folder" in message_of(tmp_path / "folder.csv")
    np.save(tmp_path / "x.npy", SCORES)
    queries, files = write_lists(tmp_path)
    assert "give --queries and --files FILE, one id a line" in message_of(tmp_path / "x.npy")
    assert "give --files FILE" in message_of(tmp_path / "x.npy", queries)
    message = message_of(write(tmp_path, MATRIX), queries, files)
    assert "x.csv: names its own queries and files; leave out --queries and --files" in message


@pytest.mark.parametrize("number", [0x110000, 0xFFFFFFFF, 0xD800])
def test_an_npz_with_numbers_that_are_no_characters(tmp_path, number):
    path = tmp_path / "scores.npz"
    strange = np.array([ord("a"), number], np.uint32).view("<U1")
    np.savez(path, scores=np.eye(2), queries=strange, files=np.array(["a", "b"]))
    with pytest.raises(ArtefactError, match="'queries' holds numbers that are no characters"):
        read_foreign_scores(path)
