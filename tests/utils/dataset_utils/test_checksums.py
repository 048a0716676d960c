"""Files of SHA-1 sums, as `sha1sum` writes them."""

import subprocess

from utils.dataset_utils.checksums import damaged_files, read_checksums


def test_what_sha1sum_writes_is_read(tmp_path):
    names = ["a.mp3", "two words.mp3", "back\\slash.mp3", "line\nend.mp3"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    sums = subprocess.run(["sha1sum", *names], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "checksums").write_bytes(sums + b"\nnot a sum\n")
    found = read_checksums(tmp_path)
    files = [tmp_path / name for name in names]
    assert [*found.sums] == files
    assert found.notes == [f"{tmp_path / 'checksums'}: 1 lines are no checksums, the first is line 6; they are ignored"]
    assert damaged_files(files, found.sums, 2) == []
    files[1].write_bytes(b"other")
    files[2].unlink()
    assert damaged_files([*files, tmp_path / "checksums"], found.sums) == [files[1]]


def test_a_folder_without_sums(tmp_path):
    assert read_checksums(tmp_path) == ({}, [])
