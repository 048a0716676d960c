"""Fetch one recording with yt-dlp, check it, and write it, or its sections, as FLAC: 16 kHz, mono, 16 bits."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils.atomic import replacing
from utils.audio_utils import AudioError, probe
from utils.audio_utils.decoding import ClipFacts
from utils.dataset_utils.download_failures import FetchError, may_pass
from utils.dataset_utils.video_list import ListedRecording

SAMPLE_RATE_HZ = 16_000
# Audio alone where the site has it; else what has both.
_FORMAT = "bestaudio/best"
# Containers that our decoders do not read, by the extensions that yt-dlp gives; the sound in them is taken out first.
_TAKEN_OUT = {".avi": "avi", ".flv": "flv", ".ts": "mpegts"}
_TOLERANCE_S = 0.05  # between two measurements of one length


class FetchSettings(NamedTuple):
    """How recordings are fetched.

    Attributes:
        root: of the data; files go to audio/<id>.flac below it.
        cookies: text of a cookies file in Netscape's format; empty: none.
        max_duration_s: a recording that is longer is left out (a section: one that is longer itself); None: any.
        retries: of a request that may succeed later.
        wait_s: before the first retry; twice as long before each further one.
        silence_s: without an answer, after which a request has failed.
    """

    root: Path
    cookies: str = ""
    max_duration_s: float | None = None
    retries: int = 4
    wait_s: float = 1.0
    silence_s: float = 20.0

    def file(self, id_: str) -> Path:
        """The file of a recording, by our own id: nothing remote ever names a file."""
        return self.root / "audio" / f"{id_}.flac"

    def wait_before(self, retry: int) -> float:
        """Seconds before a retry, which are counted from 0."""
        return float(min(self.wait_s * 2**retry, 60.0))


class Fetched(NamedTuple):
    """A recording that is there, as archive.csv lists it."""

    id: str
    url: str  # or the path of a local file
    start_s: float
    end_s: float | None
    channel: str
    duration_s: float
    bytes: int


Report = Callable[[ListedRecording, Fetched | Exception], None]


def ffmpeg_program() -> str:
    """The path of ffmpeg: the installed one, else that of imageio-ffmpeg."""
    installed = shutil.which("ffmpeg")
    if installed is not None:
        return installed
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def load_downloader() -> None:
    """Import yt-dlp with the patterns of its 1800 sites: a process that is forked afterwards needs no second for it."""
    from yt_dlp.extractor import gen_extractor_classes
    from yt_dlp.postprocessor import ffmpeg  # noqa: F401 - is imported

    for site in gen_extractor_classes():
        site.suitable("https://localhost/")  # compiles its pattern


def fetch_sections(
    recordings: Sequence[ListedRecording], settings: FetchSettings, scratch: Path, report: Report
) -> None:
    """Fetch an address once, and write each of its sections; a file is complete when it is reported, or absent.

    Args:
        recordings: sections of one address or of one local file, or the whole.
        settings: how.
        scratch: an empty folder for what is downloaded; the caller removes it.
        report: is called once for each recording, as soon as it is there, or with why it is not: a FetchError, an
            AudioError, or an error of yt-dlp; see `failure_of`.
    """
    left = {recording.id: recording for recording in recordings}

    def done(recording: ListedRecording, result: Fetched | Exception) -> None:
        del left[recording.id]
        report(recording, result)

    retry = 0
    while left:
        try:
            _fetch(list(left.values()), settings, scratch, done)
        except Exception as error:  # noqa: BLE001 - an extractor may raise anything of a page that it misreads
            if retry < settings.retries and may_pass(error):
                time.sleep(settings.wait_before(retry))
                retry += 1
                continue
            for recording in list(left.values()):
                done(recording, error)


def _fetch(left: Sequence[ListedRecording], settings: FetchSettings, scratch: Path, done: Report) -> None:
    from yt_dlp import YoutubeDL

    with YoutubeDL(_options(settings, scratch)) as downloader:
        cutter = _cutter(downloader, settings, done)
        if left[0].path:
            cutter.sections = left
            cutter.run({"filepath": str(settings.root / left[0].path)})
            return
        downloader.add_post_processor(cutter, when="post_process")
        info = _one_medium(downloader.extract_info(left[0].url, download=False))
        cutter.channel = _channel_of(info)
        cutter.sections = _suitable(left, info.get("duration"), settings, done)
        if cutter.sections:
            downloader.process_ie_result(info, download=True)
            if not cutter.has_run:
                raise FetchError("not media", "the site gave no file")


def _options(settings: FetchSettings, scratch: Path) -> dict[str, Any]:
    waits = dict.fromkeys(("http", "fragment", "file_access", "extractor"), lambda n: settings.wait_before(n))
    return {
        "format": _FORMAT,
        # the extension is one of yt-dlp's list of media, whatever the site says
        "outtmpl": {"default": str(scratch).replace("%", "%%") + "/media.%(ext)s"},
        "ffmpeg_location": ffmpeg_program(),
        "retries": settings.retries,
        "fragment_retries": settings.retries,
        # few: `fetch_sections` repeats the whole, and where there is no network both would multiply
        "extractor_retries": min(1, settings.retries),
        "retry_sleep_functions": waits,
        "socket_timeout": settings.silence_s,
        # a stream, since yt-dlp writes cookies back, and several do so at a time
        "cookiefile": io.StringIO(settings.cookies) if settings.cookies else None,
        "noplaylist": True,
        "playlistend": 2,
        "lazy_playlist": True,
        "skip_unavailable_fragments": False,
        "updatetime": False,
        "overwrites": True,
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
        "logger": _Silent(),
    }


class _Silent:
    """Takes yt-dlp's messages; whatever stops a download is raised, too."""

    def debug(self, message: str) -> None:
        pass

    info = warning = error = debug


def _one_medium(info: Mapping[str, Any] | None) -> dict[str, Any]:
    """The only medium that an address leads to."""
    if info is None:
        raise FetchError("not media", "the site gave nothing")
    if info.get("_type", "video") in ("playlist", "multi_video"):
        entries = [entry for entry in info["entries"] if entry is not None]
        if len(entries) != 1:
            found = "a list of several videos" if entries else "a list without videos"
            raise FetchError("not media", f"{found}; give the address of one")
        return _one_medium(entries[0])
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        raise FetchError("not media", "a live stream, which has no end yet")
    return dict(info)


def _channel_of(info: Mapping[str, Any]) -> str:
    found = (info.get(key) for key in ("channel_id", "uploader_id", "channel", "uploader"))
    return " ".join(str(next((value for value in found if value), "")).split())


def _suitable(
    sections: Sequence[ListedRecording], duration_s: float | None, settings: FetchSettings, done: Report
) -> list[ListedRecording]:
    """The sections that a recording of this length has; why the others are left out is reported."""
    found = []
    for recording in sections:
        try:
            _check_duration(recording, duration_s, settings)
            found.append(recording)
        except FetchError as error:
            done(recording, error)
    return found


def _check_duration(recording: ListedRecording, duration_s: float | None, settings: FetchSettings) -> None:
    """Refuse what is too long, and a section that begins after the end; the site does not always say how long it is."""
    if duration_s is None:
        return
    if recording.start_s >= duration_s:
        raise FetchError("other", f"its section begins at {recording.start_s:g} s, it ends at {duration_s:.1f} s")
    length_s = min(duration_s, recording.end_s or duration_s) - recording.start_s
    if settings.max_duration_s is not None and length_s > settings.max_duration_s + _TOLERANCE_S:
        raise FetchError("too long", f"{length_s:.1f} s, more than {settings.max_duration_s:g} s")


def _cutter(downloader: Any, settings: FetchSettings, done: Report) -> Any:
    """The post-processor that checks what is downloaded, and converts it, or its sections."""
    from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessor, FFmpegPostProcessorError

    class Cutter(FFmpegPostProcessor):
        sections: Sequence[ListedRecording] = ()
        channel = ""  # that the site names
        has_run = False

        def run(self, information: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
            self.has_run = True
            source = self.readable(Path(information["filepath"]))
            # ffmpeg converts what there is of a truncated file, and follows playlists to any file: ours does neither
            facts: ClipFacts = probe(source)
            for recording in _suitable(self.sections, facts.duration_s, settings, done):
                result: Fetched | Exception
                try:
                    result = self.written(source, recording)
                except (FetchError, FFmpegPostProcessorError) as error:
                    result = error
                done(recording, result)
            return [], information

        def written(self, source: Path, recording: ListedRecording) -> Fetched:
            with replacing(settings.file(recording.id)) as beside:
                self.real_run_ffmpeg([(str(source), [])], [(str(beside), _arguments(recording))])
                try:
                    facts = probe(beside)
                except AudioError as error:  # what was downloaded is sound: it was checked
                    raise FetchError("other", f"what ffmpeg wrote is broken: {error}") from error
                size = beside.stat().st_size
            url, channel = recording.url or recording.path, recording.channel or self.channel
            section = recording.start_s, recording.end_s
            return Fetched(recording.id, url, *section, channel, round(facts.duration_s, 4), size)

        def readable(self, source: Path) -> Path:
            container = _TAKEN_OUT.get(source.suffix)
            if container is None:
                return source
            sound = source.with_suffix(".mka")
            copied = ["-vn", "-sn", "-dn", "-c:a", "copy"]
            try:
                self.real_run_ffmpeg([(str(source), ["-f", container])], [(str(sound), copied)])
            except FFmpegPostProcessorError as error:
                raise FetchError("not media", f"no sound can be taken out of it: {error}") from error
            return sound

    return Cutter(downloader)


def _arguments(recording: ListedRecording) -> list[str]:
    """Of ffmpeg, for its output: the section, exact to a sample, since it is cut from decoded sound."""
    cut = ["-ss", repr(recording.start_s)] if recording.start_s else []
    cut += ["-t", repr(recording.end_s - recording.start_s)] if recording.end_s is not None else []
    sound = ["-vn", "-sn", "-dn", "-map_metadata", "-1", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ)]
    # ffmpeg 5 ends well where the disk fills up while its last buffer is written; that must be said, in the last line
    careful = ["-flush_packets", "1", "-loglevel", "error"]
    return [*cut, *sound, "-sample_fmt", "s16", "-c:a", "flac", "-f", "flac", *careful]
