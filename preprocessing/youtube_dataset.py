"""A list of videos or files with categories -> audio, labels.csv, audio_info.pkl, failed.csv.

    python -m preprocessing.youtube_dataset --conf tasks/classification.yaml

Reads data.table, a CSV: url, category; perhaps id, channel, start_s, end_s, split. A url is an http(s) address, or a
file below data.root. Other doors: a table of metadata as Hugging Face's audiofolder has it (file_name, category), those
of ESC-50 and UrbanSound8K, and, without a table, folders named by category. The audio of addresses is fetched with
yt-dlp, several at a time, into data.root/audio as FLAC of 16 kHz, mono; running again fetches only what is missing.
What cannot be fetched is named in failed.csv, and the rest goes on. Recordings are then compared by the sound of their
first two minutes, and shared out: sections of one recording, a channel, and near-duplicates are in one split each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tasks import Commands, command, load_run
from tasks.base import LabelledRun
from utils.cli_utils import existing_folder, positive, whole
from utils.data_utils import making
from utils.dataset_utils.download_failures import summary
from utils.dataset_utils.downloads import Outcome, fetch_recordings, read_cookies
from utils.dataset_utils.labelled_tables import decode_recordings, write_labelled_tables
from utils.dataset_utils.listed_files import read_recordings
from utils.dataset_utils.one_download import FetchSettings
from utils.dataset_utils.video_list import ListedRecording, by_turns, check_categories
from utils.process_utils import all_cores

SCRIPT = "preprocessing.youtube_dataset"
CORPUS_SCRIPT = "preprocessing.synthetic_corpus"


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fetch recordings and write the tables of every split; returns 1 when --strict finds recordings that failed."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=positive, help="recordings of the list, from its categories by turns")
    parser.add_argument("--max-duration-s", type=positive, help="leave out what is longer (default: nothing)")
    parser.add_argument("--cookies", type=Path, help="cookies of a browser, in Netscape's format")
    parser.add_argument("--downloads", type=positive, default=4, help="at a time (default: 4)")
    parser.add_argument("--time-limit-s", type=positive, default=900, help="for one download (default: 900)")
    parser.add_argument("--retries", type=whole, default=4, help="of a request that may succeed later (default: 4)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any recording failed")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, LabelledRun)
    commands = Commands.of(args, run.script_of)
    if run.data.table is None:
        corpus = commands.line(CORPUS_SCRIPT, "--single-kind")
        existing_folder(
            run.data.root, "data.root", f"correct it, name a list: data.table, or make the corpus: {corpus}"
        )
    with commands.completing(), making(run.data, "tables"):
        listed = read_recordings(run.data.root, run.data.table)
        print("\n".join(listed.understood))
        recordings = by_turns(listed.recordings, args.limit)
        if args.limit is not None:
            check_categories(recordings, f" among the {len(recordings)} of --limit")
        cookies = read_cookies(args.cookies) if args.cookies else ""
        settings = FetchSettings(run.data.root, cookies, args.max_duration_s, args.retries)
        fetched = fetch_recordings(recordings, settings, args.downloads, args.time_limit_s)
        files = _files(recordings, fetched, settings)
        found = decode_recordings(run.data, files, args.workers, args.max_duration_s)
        failures = [*listed.missing, *fetched.failures, *found.failures]
        print(summary(len(found.recordings), fetched.new, failures))
        if failures:
            print(f"the reasons, one a recording: {run.data.failed}")
        write_labelled_tables(run.data, found._replace(failures=failures), commands.line(SCRIPT))
    print(f"next: {commands.following(run, SCRIPT)}")
    return int(args.strict and bool(failures))


def _files(
    recordings: Sequence[ListedRecording], fetched: Outcome, settings: FetchSettings
) -> list[tuple[ListedRecording, str]]:
    """The recordings that have a file, with its path relative to the root; channels are those that sites name, too."""
    files: list[tuple[ListedRecording, str]] = []
    for recording in recordings:
        if recording.is_local:
            files.append((recording, recording.path))
        elif (there := fetched.there.get(recording.id)) is not None:
            channel = recording.channel or there.channel
            path = settings.file(recording.id).relative_to(settings.root).as_posix()
            files.append((recording._replace(channel=channel), path))
    return files


if __name__ == "__main__":
    main()
