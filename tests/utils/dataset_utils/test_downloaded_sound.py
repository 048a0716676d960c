"""Downloads from loopback: sound arrives as it was, whatever the site gives is sound or is named, and no more."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from tests.loopback import PAGE, tone
from tests.utils.dataset_utils.fetching import listed, names, reasons, settings
from utils.cli_utils import UserError
from utils.dataset_utils.downloads import fetch_recordings, read_cookies
from utils.dataset_utils.one_download import ffmpeg_program


def test_sound_becomes_16_khz_mono_of_the_same_waveform(tmp_path, server):
    url = server.add("/dog.wav", tone(2.0))
    found = fetch_recordings([listed(url, channel="me")], settings(tmp_path))
    assert (found.failures, found.new) == ([], 1)
    wave, rate_hz = soundfile.read(tmp_path / "audio" / "x1.flac")
    info = soundfile.info(tmp_path / "audio" / "x1.flac")
    assert (rate_hz, wave.shape, info.subtype) == (16000, (32000,), "PCM_16")
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    assert np.abs(wave - expected)[500:-500].max() < 0.01
    assert (found.there["x1"].duration_s, found.there["x1"].channel, found.there["x1"].url) == (2.0, "me", url)


def test_every_failure_is_named_and_none_stops_the_list(tmp_path, server):
    server.add("/dog.wav", tone(1.0))
    server.add("/short.wav", tone(1.0)[:30000])
    server.add("/lie.mp3", PAGE, "audio/mpeg")
    server.add("/empty.wav", tone(0.0))
    expected = {
        "/gone.wav": "removed",
        "/page.html": "not media",
        "/lie.mp3": "not media",
        "/empty.wav": "not media",
        "/short.wav": "cut off",
        "/cut.wav": "cut off",
        "/loop": "other",
        "/door": "asks for a login",
    }
    rows = [listed(server.url(path), f"id{number}") for number, path in enumerate(expected)]
    found = fetch_recordings([*rows, listed(server.url("/dog.wav"))], settings(tmp_path), workers=6)
    assert reasons(found) == dict(zip((row.id for row in rows), expected.values(), strict=True))
    assert [failure.id for failure in found.failures] == [row.id for row in rows]
    assert set(found.there) == {"x1"}
    assert names(tmp_path) == {"x1.flac"}
    assert all("\n" not in failure.detail and failure.category == "dog" for failure in found.failures)


@pytest.mark.parametrize(
    ("name", "kind", "coding"),
    [("x.webm", "audio/webm", "libopus"), ("x.flv", "video/x-flv", "aac"), ("x.ts", "video/mp2t", "aac")],
)
def test_other_containers(tmp_path, server, name, kind, coding):
    (tmp_path / "x.wav").write_bytes(tone(1.0))
    made = [ffmpeg_program(), "-loglevel", "error", "-i", "x.wav", "-c:a", coding, name]
    subprocess.run(made, cwd=tmp_path, check=True)
    rows = [
        listed(server.add(f"/{name}", (tmp_path / name).read_bytes(), kind)),
        listed(server.add(f"/lie/{name}", PAGE, kind), "lie"),
    ]
    found = fetch_recordings(rows, settings(tmp_path))
    assert found.there["x1"].duration_s == pytest.approx(1.0, abs=0.1)
    assert reasons(found) == {"lie": "not media"}


def test_a_page_with_one_player_is_a_recording_and_one_with_two_is_none(tmp_path, server):
    players = [f'<audio controls src="{server.add(f"/{name}.wav", tone(0.5))}"></audio>' for name in "ab"]
    pages = {"one": players[0], "two": "".join(players)}
    rows = [
        listed(server.add(f"/{name}.html", f"<html><body>{text}</body></html>".encode(), "text/html"), name)
        for name, text in pages.items()
    ]
    found = fetch_recordings(rows, settings(tmp_path))
    assert (set(found.there), reasons(found)) == ({"one"}, {"two": "not media"})
    assert found.failures[0].detail == "a list of several videos; give the address of one"


def test_sections_are_exact_to_a_sample(tmp_path, server):
    ramp = np.linspace(-0.9, 0.9, 32000)
    path = tmp_path / "ramp.wav"
    soundfile.write(path, ramp, 16000)
    rows = [
        listed(server.add("/ramp.wav", path.read_bytes()), start_s=0.5, end_s=1.25),
        listed(server.url("/ramp.wav"), "tail", start_s=1.5),
        listed("", "local", path="ramp.wav", end_s=0.25),
        listed("", "whole", path="ramp.wav"),
        listed(server.url("/ramp.wav"), "behind", start_s=2.0),
    ]
    found = fetch_recordings(rows, settings(tmp_path))
    for id_, start, stop in (("x1", 8000, 20000), ("tail", 24000, 32000), ("local", 0, 4000)):
        wave, _ = soundfile.read(tmp_path / "audio" / f"{id_}.flac")
        np.testing.assert_allclose(wave, ramp[start:stop], atol=1e-4)
    assert (set(found.there), reasons(found)) == ({"x1", "tail", "local"}, {"behind": "other"})
    assert server.requests["/ramp.wav"] == 2  # it is asked what it is, and fetched once, for all sections


def test_no_remote_name_names_a_file(tmp_path, server):
    root = tmp_path / "data"
    paths = ["/..%2f..%2fevil.wav", "/a%00b.wav", "/%2fetc%2fx.wav", "/con.wav?x=../../y.sh"]
    for path in paths:
        server.add(path.partition("?")[0], tone(0.2))
    rows = [listed(server.url(path), f"n{number}") for number, path in enumerate(paths)]
    found = fetch_recordings(rows, settings(root))
    assert len(found.there) == len(paths)
    assert names(root) == {f"n{number}.flac" for number in range(len(paths))}
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    assert {path.name for path in root.iterdir()} == {"audio", "archive.csv"}


def test_a_playlist_that_names_a_file_of_this_machine_is_not_followed(tmp_path, server):
    secret = tmp_path / "secret.wav"
    secret.write_bytes(tone(1.0))
    lists = {"/a.wav": f"ffconcat version 1.0\nfile '{secret}'\n", "/b.mp3": f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n"}
    rows = [listed(server.add(path, text.encode(), "audio/wav"), path[1]) for path, text in lists.items()]
    rows.append(listed(server.add("/c.m3u8", lists["/b.mp3"].encode(), "application/vnd.apple.mpegurl"), "c"))
    found = fetch_recordings(rows, settings(tmp_path / "data"))
    assert set(reasons(found)) == {"a", "b", "c"}
    assert names(tmp_path / "data") == set()


def test_the_program_of_imageio_converts_where_no_ffmpeg_is_installed(tmp_path, server, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "imageio_ffmpeg" in ffmpeg_program()
    found = fetch_recordings([listed(server.add("/a.mp3", tone(1.0, kind="MP3"), "audio/mpeg"))], settings(tmp_path))
    assert found.there["x1"].duration_s == pytest.approx(1.0, abs=0.06)


def test_cookies_are_sent_and_their_file_is_left_alone(tmp_path, server):
    path = tmp_path / "cookies.txt"
    path.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4000000000\tkey\tvalue-1\n")
    before = path.read_bytes()
    cookies = read_cookies(path)
    fetch_recordings([listed(server.add("/a.wav", tone(0.2)))], settings(tmp_path, cookies=cookies))
    assert server.cookies == {"key=value-1"}
    assert path.read_bytes() == before


def test_lines_that_are_no_cookies_are_counted_and_never_printed(tmp_path, server, capfd):
    path = tmp_path / "cookies.txt"
    start, cookie = "# Netscape HTTP Cookie File\n", "127.0.0.1 FALSE / FALSE 4000000000 key {}\n"
    session = "127.0.0.1\tFALSE\t/\tFALSE\t0\tkey\tvalue-1\n"
    path.write_text(start + session + cookie.format("secret-2") + cookie.format("secret-3"))
    cookies = read_cookies(path)
    fetch_recordings([listed(server.add("/a.wav", tone(0.2)))], settings(tmp_path, cookies=cookies))
    assert server.cookies == {"key=value-1"}
    printed = capfd.readouterr()
    assert f"{path}: 2 lines are no cookies, and not used\n" in printed.out
    assert "secret" not in printed.out + printed.err + cookies


BLANKS = b"# Netscape HTTP Cookie File\n127.0.0.1 FALSE / FALSE 4000000000 key value\n"


@pytest.mark.parametrize(
    "content", [b"{}", b"\xff\xfe\x00", b"key=value\n", b"url,category\na.wav,dog\n", BLANKS, BLANKS[:28]]
)
def test_a_file_without_cookies_is_refused(tmp_path, content, capsys):
    path = tmp_path / "cookies.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a cookies file in Netscape's format, with tabs .*"):
        read_cookies(path)
    assert capsys.readouterr().err == ""
