"""Lists are fetched once: running again fetches what is missing, and what changed; the archive says what is there."""

from __future__ import annotations

import os

import pytest

from tests.loopback import tone
from tests.utils.dataset_utils.fetching import listed, reasons, settings
from utils.cli_utils import UserError
from utils.dataset_utils.downloads import fetch_recordings


def test_a_request_that_fails_for_a_while_is_repeated(tmp_path, server):
    found = fetch_recordings([listed(server.url("/flaky.wav"))], settings(tmp_path))
    assert set(found.there) == {"x1"}
    assert server.requests["/flaky.wav"] > 2


def test_what_will_never_be_there_is_asked_for_once(tmp_path, server):
    fetch_recordings([listed(server.url("/gone.wav"))], settings(tmp_path))
    assert server.requests["/gone.wav"] == 1


def test_running_again_fetches_only_what_is_missing(tmp_path, server):
    rows = [listed(server.add(f"/{name}.wav", tone(1.0)), name) for name in ("a", "b")]
    rows.append(listed(server.url("/c.wav"), "c"))
    assert reasons(fetch_recordings(rows, settings(tmp_path))) == {"c": "removed"}
    server.requests.clear()
    server.add("/c.wav", tone(1.0))
    (tmp_path / "audio" / "b.flac").unlink()
    found = fetch_recordings(rows, settings(tmp_path))
    assert (set(found.there), found.new, found.failures) == ({"a", "b", "c"}, 2, [])
    assert set(server.requests) == {"/b.wav", "/c.wav"}
    again = fetch_recordings(rows, settings(tmp_path))
    assert (set(again.there), again.new) == ({"a", "b", "c"}, 0)


def test_an_id_with_another_address_or_section_is_fetched_anew(tmp_path, server):
    row = listed(server.add("/a.wav", tone(1.0)))
    fetch_recordings([row], settings(tmp_path))
    other = row._replace(url=server.add("/b.wav", tone(2.0)))
    assert fetch_recordings([other], settings(tmp_path)).there["x1"].duration_s == 2.0
    assert fetch_recordings([other._replace(end_s=0.5)], settings(tmp_path)).there["x1"].duration_s == 0.5


def test_a_list_of_whole_files_writes_nothing(tmp_path):
    assert fetch_recordings([listed("", path="a.wav")], settings(tmp_path)) == ({}, 0, [])
    assert not list(tmp_path.iterdir())


def test_what_is_too_long_is_left_out_also_when_it_is_there(tmp_path, server):
    url = server.add("/long.wav", tone(3.0))
    rows = [listed(url), listed(url, "part", start_s=1.0, end_s=2.0)]
    short = settings(tmp_path, max_duration_s=2.0)
    assert reasons(fetch_recordings(rows, short)) == {"x1": "too long"}
    assert reasons(fetch_recordings(rows, settings(tmp_path))) == {}
    again = fetch_recordings(rows, short)
    assert (reasons(again), set(again.there)) == ({"x1": "too long"}, {"part"})


def test_a_broken_row_at_the_end_of_the_archive_is_fetched_again(tmp_path, server):
    rows = [listed(server.add(f"/{name}.wav", tone(0.5)), name) for name in ("a", "b")]
    fetch_recordings(rows, settings(tmp_path), workers=1)
    archive = tmp_path / "archive.csv"
    archive.write_bytes(archive.read_bytes()[:-9])
    found = fetch_recordings(rows, settings(tmp_path))
    assert (set(found.there), found.new) == ({"a", "b"}, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title,year\n", "found the columns title, year, expected id, url,"),
        ("id,url,start_s,end_s,channel,duration_s,bytes\nx,http://x,soon,,,1,2\n", "line 2: is no row of a fetched"),
        ("id,url,start_s,end_s,channel,duration_s,bytes\nx,http://x\n", "line 2: is no row of a fetched"),
    ],
)
def test_an_archive_of_another_program_is_refused(tmp_path, text, said):
    (tmp_path / "archive.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        fetch_recordings([listed("http://127.0.0.1:9/x")], settings(tmp_path))
    assert (tmp_path / "archive.csv").read_text() == text


def test_a_section_of_a_file_whose_name_is_no_utf8_is_cut_once(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    (tmp_path / name).write_bytes(tone(1.0))
    rows = [listed("", path=name, end_s=0.5)]
    assert fetch_recordings(rows, settings(tmp_path)).new == 1
    again = fetch_recordings(rows, settings(tmp_path))
    assert (set(again.there), again.new) == ({"x1"}, 0)
