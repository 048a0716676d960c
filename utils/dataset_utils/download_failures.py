"""Why a recording could not be fetched, in the few words that a summary counts."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from utils.audio_utils import AudioError
from utils.cli_utils import printable, shortened

Reason = Literal[
    "private",
    "removed",
    "geo-blocked",
    "asks for a login",
    "not media",
    "cut off",
    "timed out",
    "not reached",
    "too long",
    "no such file",
    "other",
]
# Texts of sites, in the order of their weight: a private video says "sign in" too, a blocked one "unavailable".
_TEXTS: tuple[tuple[Reason, re.Pattern[str]], ...] = (
    ("private", re.compile(r"private video|video is private|is (?:set to )?private\b|made (?:this|the) video private")),
    (
        "geo-blocked",
        re.compile(r"in your country|from your location|in your (?:region|location|area)|geo.?restrict|geo.?block"),
    ),
    (
        "asks for a login",
        re.compile(
            r"sign in|log ?in\b|logged.in|registered users|members.only|available to .*members|join this channel|"
            r"confirm your age|age.restricted|account.* required|subscribers|protected by a password|requires payment|"
            r"captcha"
        ),
    ),
    (
        "removed",
        re.compile(
            r"unavailable|removed|no longer available|has been terminated|been deleted|does not exist|doesn't exist|"
            r"video is not available|not found"
        ),
    ),
    # what is left of errors after the last retry of a download
    ("cut off", re.compile(r"bytes read, \d+ more expected|downloaded \d+ bytes, expected|content too short")),
    ("not media", re.compile(r"requested format is not available|no video formats found|no media found|drm.protected")),
    ("timed out", re.compile(r"timed out|time-?out")),
    (
        "not reached",
        re.compile(
            r"failed to resolve|name resolution|name or service not known|connection refused|is unreachable|"
            r"no route to host|failed to establish a new connection"
        ),
    ),
)
_STATUSES: dict[int, Reason] = {
    401: "asks for a login",
    404: "removed",
    407: "asks for a login",
    408: "timed out",
    410: "removed",
    451: "geo-blocked",
    504: "timed out",
}
_ADDRESS = re.compile(r"\w+://\S+")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)

_FULL = os.strerror(errno.ENOSPC)


class Failure(NamedTuple):
    """A recording that is not there, as failed.csv lists it."""

    id: str
    category: str
    url: str  # or the path of a local file
    reason: Reason
    detail: str


class FetchError(Exception):
    """A recording cannot be fetched, by a rule of ours."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it names as its cause; yt-dlp keeps them in several places.

    Python's `__context__` counts of two kinds alone, which are made of the error at hand. Elsewhere it is what failed
    before, and was replaced by something else: no cause.
    """
    from yt_dlp.utils import DownloadError, UnavailableVideoError

    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        exc_info = getattr(found, "exc_info", None) or (None, None, None)
        named = [exc_info[1], getattr(found, "cause", None), found.__cause__]
        named += [found.__context__] if isinstance(found, (DownloadError, UnavailableVideoError)) else []
        waiting += [each for each in named if isinstance(each, Exception)]


def disk_error(error: BaseException) -> OSError | None:
    """The error of the disk behind an error, after which no other recording can be written either."""
    for each in causes(error):
        if isinstance(each, OSError) and each.errno in _DISK:
            return each
        if _FULL in str(each):  # what ffmpeg printed
            return OSError(errno.ENOSPC, _FULL)
    return None


def reason_of(error: BaseException) -> Reason:
    """Why a recording could not be fetched, from an error of yt-dlp, of its transport, or of our decoders."""
    from yt_dlp.networking.exceptions import HTTPError, IncompleteRead
    from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, UnsupportedError

    found = list(causes(error))
    for each in found:
        if isinstance(each, FetchError):
            return each.reason
        if isinstance(each, GeoRestrictedError):
            return "geo-blocked"
        if isinstance(each, AudioError):
            return "cut off" if re.match("is (truncated|damaged)", str(each)) else "not media"
    status = next((each.status for each in found if isinstance(each, HTTPError)), None)
    if status in _STATUSES:
        return _STATUSES[status]
    if any(isinstance(each, (ContentTooShortError, IncompleteRead)) for each in found):
        return "cut off"
    if any(isinstance(each, UnsupportedError) for each in found):
        return "not media"
    if any(isinstance(each, TimeoutError) for each in found):
        return "timed out"
    text = _ADDRESS.sub("", str(error)).casefold().replace("\u2019", "'")
    return next((reason for reason, pattern in _TEXTS if status is None and pattern.search(text)), "other")


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, TransportError
    from yt_dlp.utils import ContentTooShortError

    found = list(causes(error))
    status = next((each.status for each in found if isinstance(each, HTTPError)), None)
    if status is not None:
        return status in (408, 425, 429) or status >= 500
    if any(isinstance(each, CertificateVerifyError) for each in found):
        return False
    return any(isinstance(each, (TransportError, ContentTooShortError, TimeoutError)) for each in found)


def failure_of(error: BaseException) -> tuple[Reason, str]:
    """Reason and detail of an error; the detail is one harmless line."""
    text = _COLOURS.sub("", str(error)).removeprefix("ERROR: ").partition("; please report")[0]
    text = text.partition(" (caused by ")[0].replace("[download] Got error: ", "")
    line = " ".join(text.split()) or type(error).__name__
    return reason_of(error), printable(shortened(line, 300))


def summary(there: int, fetched: int, failures: Sequence[Failure]) -> str:
    """One line: of N recordings how many are there, and why the others are not."""
    total = there + len(failures)
    line = f"of {total} recordings {there} are there ({fetched} of them fetched or cut now)"
    if not failures:
        return line
    reasons = Counter(failure.reason for failure in failures).most_common()
    return f"{line}; {len(failures)} are not: {', '.join(f'{count} {reason}' for reason, count in reasons)}"
