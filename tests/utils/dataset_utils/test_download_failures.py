"""Why a download failed, from what yt-dlp raises: its own extractor methods, its own wrapping, texts of YouTube."""

from __future__ import annotations

import errno
from collections.abc import Callable
from http.client import HTTPMessage
from io import BytesIO
from typing import Any

import pytest
from yt_dlp import YoutubeDL
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, IncompleteRead, TransportError
from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessorError
from yt_dlp.utils import ContentTooShortError, ExtractorError, UnavailableVideoError, UnsupportedError

from utils.audio_utils import AudioError
from utils.dataset_utils.download_failures import (
    Failure,
    FetchError,
    disk_error,
    failure_of,
    may_pass,
    reason_of,
    summary,
)
from utils.dataset_utils.one_download import _Silent

Raises = Callable[[InfoExtractor], Any]


def raised_by_yt_dlp(misbehave: Raises) -> Exception:
    """What leaves yt-dlp when an extractor does this."""

    class Site(InfoExtractor):
        _VALID_URL = r"https?://site\.example/.*"

        def _real_extract(self, url: str) -> Any:
            return misbehave(self)

    with YoutubeDL({"quiet": True, "logger": _Silent()}, auto_init=False) as downloader:
        downloader.add_info_extractor(Site(downloader))
        with pytest.raises(Exception) as error:  # noqa: PT011 - its kind is what is looked at
            downloader.extract_info("https://site.example/sign-in/private-video/404", download=False)
    return error.value


def status(code: int) -> HTTPError:
    return HTTPError(Response(BytesIO(), "https://site.example", HTTPMessage(), code))


def says(text: str) -> Raises:
    def misbehave(site: InfoExtractor) -> None:
        raise ExtractorError(text, expected=True)

    return misbehave


def fails_with(cause: Exception) -> Raises:
    """As `_request_webpage` wraps what the transport raises."""

    def misbehave(site: InfoExtractor) -> None:
        try:
            raise cause
        except type(cause) as error:
            raise ExtractorError(f"Unable to download webpage: {error}", cause=error) from error

    return misbehave


TEXTS = [
    # of YouTube's player, as yt-dlp joins reason and subreason
    ("Private video. Sign in if you've been granted access to this video", "private"),
    ("This video is private", "private"),
    ("Video unavailable. This video is private", "private"),
    ("Video unavailable", "removed"),
    ("Video unavailable. This video has been removed by the uploader", "removed"),
    ("This video has been removed for violating YouTube's Terms of Service", "removed"),
    ("Video unavailable. This video is no longer available due to a copyright claim by X", "removed"),
    (
        "Video unavailable. This video is no longer available because the YouTube account associated with this video "
        "has been terminated.",
        "removed",
    ),
    ("The uploader has not made this video available in your country", "geo-blocked"),
    (
        "Video unavailable. This video contains content from X, who has blocked it in your country",
        "geo-blocked",
    ),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", "asks for a login"),
    ("Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser or --cookies", "asks for a login"),
    ("Join this channel to get access to members-only content like this video", "asks for a login"),
    ("This video is available to this channel's members on level: X (or any higher level).", "asks for a login"),
    ("This video is protected by a password, use the --video-password option", "asks for a login"),
    ("Requested format is not available", "not media"),
    ("No video formats found!", "not media"),
    ("The read operation timed out", "timed out"),
    ("[download] Got error: 44122 bytes read, 44122 more expected. Giving up after 2 retries", "cut off"),
    ("HTTPConnection(host='x', port=80): Failed to establish a new connection: [Errno 113] No route to", "not reached"),
    ("Premieres in 3 hours", "other"),
]


@pytest.mark.parametrize(("text", "reason"), TEXTS)
def test_texts_of_sites(text, reason):
    error = raised_by_yt_dlp(says(text))
    assert failure_of(error)[0] == reason
    assert not may_pass(error)


@pytest.mark.parametrize(
    ("misbehave", "reason", "passes"),
    [
        (lambda site: site.raise_geo_restricted(countries=["DE"]), "geo-blocked", False),
        (lambda site: site.raise_login_required(), "asks for a login", False),
        (lambda site: site.raise_no_formats("No video formats found!"), "not media", False),
        (fails_with(status(404)), "removed", False),
        (fails_with(status(410)), "removed", False),
        (fails_with(status(401)), "asks for a login", False),
        (fails_with(status(403)), "other", False),
        (fails_with(status(451)), "geo-blocked", False),
        (fails_with(status(429)), "other", True),
        (fails_with(status(503)), "other", True),
        (fails_with(status(504)), "timed out", True),
        (fails_with(TransportError("timed out", cause=TimeoutError("timed out"))), "timed out", True),
        (fails_with(TransportError("Connection refused")), "not reached", True),
        (
            fails_with(TransportError("Failed to resolve 'x' ([Errno -2] Name or service not known)")),
            "not reached",
            True,
        ),
        (fails_with(CertificateVerifyError("self-signed certificate")), "other", False),
        (fails_with(IncompleteRead(10, 90)), "cut off", True),
    ],
)
def test_errors_as_yt_dlp_wraps_them(misbehave, reason, passes):
    error = raised_by_yt_dlp(misbehave)
    assert (reason_of(error), may_pass(error)) == (reason, passes)


def test_an_address_of_no_site_is_no_medium():
    def misbehave(site: InfoExtractor) -> None:
        raise UnsupportedError("https://site.example/private-video")

    assert reason_of(raised_by_yt_dlp(misbehave)) == "not media"


def test_a_geographic_restriction_found_after_another_failure_is_the_reason():
    def misbehave(site: InfoExtractor) -> None:
        try:
            raise status(404)
        except HTTPError:
            site.raise_geo_restricted()

    assert reason_of(raised_by_yt_dlp(misbehave)) == "geo-blocked"


def test_errors_of_ours():
    assert reason_of(FetchError("too long", "12 s")) == "too long"
    assert reason_of(AudioError("is truncated: 3 bytes are missing")) == "cut off"
    assert reason_of(AudioError("is damaged: samples are missing after 3 s")) == "cut off"
    assert reason_of(AudioError("holds no audio stream")) == "not media"
    assert reason_of(ContentTooShortError(3, 4)) == "cut off"
    assert reason_of(KeyError("formats")) == "other"


def test_an_error_of_the_disk_is_found_behind_that_of_yt_dlp():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise UnavailableVideoError(error)  # noqa: B904 - as yt-dlp does
    except UnavailableVideoError as error:
        found = disk_error(error)
    assert found is not None
    assert found.errno == errno.ENOSPC
    printed = disk_error(FFmpegPostProcessorError("x.flac: No space left on device"))
    assert printed is not None
    assert printed.errno == errno.ENOSPC
    assert disk_error(raised_by_yt_dlp(says("Video unavailable"))) is None


def test_a_detail_is_one_harmless_line():
    text = "\x1b[0;31mERROR:\x1b[0m \r[download] Got error:  a\n b \x1b]0;x\x07 (caused by <HTTPError>); please report"
    reason, detail = failure_of(ValueError(text))
    assert reason == "other"
    assert detail == r"a b \x1b]0;x\x07"
    assert failure_of(ValueError())[1] == "ValueError"
    assert len(failure_of(ValueError("x" * 10_000))[1]) < 400


def test_the_summary_counts_by_reason():
    failures = [Failure(str(n), "a", "u", reason, "") for n, reason in enumerate(["private", "removed", "private"])]
    assert summary(5, 4, failures) == (
        "of 8 recordings 5 are there (4 of them fetched or cut now); 3 are not: 2 private, 1 removed"
    )
    assert summary(5, 0, []) == "of 5 recordings 5 are there (0 of them fetched or cut now)"
