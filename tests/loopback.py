"""An HTTP server on loopback whose pages behave as those of a bad day: real audio, and all that is none."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import soundfile

PAGE = b"<html><head><title>No sound</title></head><body><p>Words alone.</p></body></html>"


def tone(seconds: float, rate_hz: int = 22050, pitch_hz: float = 440.0, kind: str = "WAV") -> bytes:
    """A file of two channels, at half of full scale."""
    wave = 0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    stream = io.BytesIO()
    soundfile.write(stream, np.stack([wave, wave], 1), rate_hz, format=kind)
    return stream.getvalue()


def melody(seed: int, seconds: float, gain: float = 1.0, rate_hz: int = 16000) -> bytes:
    """A WAV of notes of random pitches, eight a second: unlike that of any other seed."""
    generator = np.random.default_rng(seed)
    pitches = np.repeat(generator.uniform(300, 3000, round(8 * seconds)), rate_hz // 8)
    wave = gain * 0.3 * np.sin(2 * np.pi * np.cumsum(pitches) / rate_hz)
    stream = io.BytesIO()
    soundfile.write(stream, wave + 1e-4 * generator.standard_normal(len(wave)), rate_hz, format="WAV")
    return stream.getvalue()


class Loopback(ThreadingHTTPServer):
    """Serves `files` by path, and a few paths that misbehave; counts requests by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, tuple[str, bytes]] = {"/page.html": ("text/html", PAGE)}
        self.requests: Counter[str] = Counter()
        self.cookies: set[str] = set()
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def add(self, path: str, content: bytes, kind: str = "audio/wav") -> str:
        self.files[path] = (kind, content)
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    server: Loopback

    def do_GET(self) -> None:
        self.server.requests[self.path] += 1
        self.server.cookies |= {cookie for cookie in [self.headers["Cookie"]] if cookie}
        name = self.path.partition("?")[0]
        with contextlib.suppress(ConnectionError):
            special = getattr(self, f"_{name.strip('/').partition('.')[0]}", None)
            if special is not None:
                special(tone(1.0))
            elif name in self.server.files:
                kind, content = self.server.files[name]
                self._send(200, {"Content-Type": kind, "Content-Length": len(content)}, content)
            else:
                self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def _send(self, status: int, headers: dict[str, object], content: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _cut(self, content: bytes) -> None:
        """Announces more than it sends."""
        self._send(200, {"Content-Type": "audio/wav", "Content-Length": len(content)}, content[: len(content) // 2])
        self.close_connection = True

    def _loop(self, content: bytes) -> None:
        self._send(302, {"Location": self.path}, b"")

    def _drip(self, content: bytes) -> None:
        """Sends a few bytes at a time: never silent for long, never done."""
        self._send(200, {"Content-Type": "audio/wav", "Content-Length": len(content)}, b"")
        for place in range(0, len(content), 8):
            if self.server.closing.wait(0.1):
                return
            self.wfile.write(content[place : place + 8])

    def _mute(self, content: bytes) -> None:
        """Never answers."""
        self.server.closing.wait(60)

    def _flaky(self, content: bytes) -> None:
        """Answers at the third request."""
        if self.server.requests[self.path] < 3:
            self.send_error(503)
        else:
            self._send(200, {"Content-Type": "audio/wav", "Content-Length": len(content)}, content)

    def _door(self, content: bytes) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Loopback]:
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
