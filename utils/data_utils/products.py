"""The files that stage 1 writes into data.features; files of other programs are not replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from utils.artefact_utils import (
    TEXT_COLUMNS,
    Known,
    known_hdf5,
    known_pickle,
    known_table,
    one_at_a_time,
    refuse_foreign,
)
from utils.artefact_utils.catalogue import CATALOGUE_COLUMNS
from utils.artefact_utils.clip_arrays import ClipArrayParts
from utils.artefact_utils.labels import LABEL_COLUMNS
from utils.cli_utils.repairs import make
from utils.data_utils.image_spec import ImageDataSpec
from utils.data_utils.labelled_spec import LabelledDataSpec
from utils.data_utils.music_spec import MusicDataSpec
from utils.data_utils.spec import AudioDataSpec, CaptionDataSpec

SIMILAR_COLUMNS = ["pair", "split", "path", "fid"]  # of pictures or tracks that are nearly the same
GENRE_COLUMNS = ["genre", "parent", "top", "tracks"]
UNFETCHED_COLUMNS = ["id", "category", "url", "reason", "detail"]  # of recordings of a list that are not there
FAILED_COLUMNS = ["fid", "fname", "reason"]  # of the clips or pictures that an encoder refused
_REJECTED = known_table(["kind", "name", "reason"])


def products_of(data: AudioDataSpec | ImageDataSpec) -> dict[Path, Known]:
    """Every file of stage 1, and how one of this project is known."""
    if isinstance(data, ImageDataSpec):
        return _image_products(data)
    failed = known_table(FAILED_COLUMNS)
    products: dict[Path, Known] = {
        data.audio_info: known_pickle,
        data.duplicates: known_table(["recording", "split", "path", "fid"]),
    }
    for split in data.splits.names():
        products |= {
            data.rejected(split): _REJECTED,
            data.logmels(split): known_hdf5,
            data.logmels_failed(split): failed,
            data.track_features(split): known_hdf5,
            data.track_features_failed(split): failed,
            data.mfcc(split): known_hdf5,
            data.mfcc_failed(split): failed,
            data.audio_vectors(split): known_hdf5,
            data.audio_frames(split): known_hdf5,
            data.audio_failed(split): failed,
        }
    if isinstance(data, MusicDataSpec):
        products |= {
            data.catalogue: known_table(CATALOGUE_COLUMNS),
            data.genre_tree: known_table(GENRE_COLUMNS),
            data.similar_tracks: known_table(SIMILAR_COLUMNS),
        }
    if isinstance(data, LabelledDataSpec):
        products |= {
            data.labels: known_table(LABEL_COLUMNS),
            data.failed: known_table(UNFETCHED_COLUMNS),
            data.similar_recordings: known_table(SIMILAR_COLUMNS),
        }
    return products | (_caption_products(data) if isinstance(data, CaptionDataSpec) else {})


def _image_products(data: ImageDataSpec) -> dict[Path, Known]:
    products: dict[Path, Known] = {
        data.clip_info: known_pickle,
        data.duplicates: known_table(SIMILAR_COLUMNS),
    }
    for split in data.splits.names():
        products |= {
            data.rejected(split): _REJECTED,
            data.text_table(split): known_table(TEXT_COLUMNS),
            data.image_frames(split): known_hdf5,
            data.image_failed(split): known_table(FAILED_COLUMNS),
        }
    return products


def _caption_products(data: CaptionDataSpec) -> dict[Path, Known]:
    products: dict[Path, Known] = dict.fromkeys((data.vocab_info, data.text_vectors), known_pickle)
    for split in data.splits.names():
        products |= {data.text_table(split): known_table(TEXT_COLUMNS), data.pairs_made(split): known_pickle}
    return products


def say_what_is_there(parts: ClipArrayParts, split: str) -> None:
    """Print which file of a split is replaced by one that is made now, or is left as it is."""
    if other := parts.replaces():
        print(f"{split}: {parts.path} was made with {other}; it is replaced when the new one is complete")
    elif other := parts.lies_beside():
        print(f"{split}: {parts.plain.name} was made with {other} and stays; {parts.path.name} is written beside it")


@contextlib.contextmanager
def making(data: AudioDataSpec | ImageDataSpec, what: str) -> Iterator[None]:
    """The block in which a script writes files of stage 1.

    Args:
        data: the run's `data:` block.
        what: it makes, such as "log-mels".
        foreign: how features of another program are taken over, for messages.

    Raises:
        ForeignFileError: a file of another program has the name of one of stage 1.
        UserError: another process makes the same in this folder.
    """
    refuse_foreign_products(data)
    with one_at_a_time(data.features, what):
        yield


def refuse_foreign_products(data: AudioDataSpec | ImageDataSpec) -> None:
    """Make sure that no script of stage 1 would replace a file that this project did not write.

    Check all files of stage 1, not only those of one script: tables of this project beside log-mels of another program
    would share no ids.

    Raises:
        ForeignFileError: there is one, such as of the DCASE 2023 baseline, whose scripts use the same names.
    """
    repair = "name another folder with --set data.features=DIR"
    if isinstance(data, AudioDataSpec):
        takeover = make("taken-over-features", "--from", str(data.features), "--set", "data.features=DIR")
        repair += f" (files of the DCASE 2023 baseline are taken over: {takeover})"
    for path, known in products_of(data).items():
        refuse_foreign(path, known, repair)
