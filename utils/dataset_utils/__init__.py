"""Shared by the scripts of all datasets: find clips, decode them once, match captions, list what is rejected."""

from utils.dataset_utils.captions import RawCaption, match_captions
from utils.dataset_utils.clips import (
    AUDIO_SUFFIXES,
    Rejected,
    audio_files,
    content_id,
    match_key,
    probe_clips,
)
from utils.dataset_utils.loose_table import LooseTable, TableForm, TableRow, read_loose_table
from utils.dataset_utils.tables import RawSplit, require_layout, write_matched_tables, write_rejected, write_tables

__all__ = [
    "AUDIO_SUFFIXES",
    "LooseTable",
    "RawCaption",
    "RawSplit",
    "Rejected",
    "TableForm",
    "TableRow",
    "audio_files",
    "content_id",
    "match_captions",
    "match_key",
    "probe_clips",
    "read_loose_table",
    "require_layout",
    "write_matched_tables",
    "write_rejected",
    "write_tables",
]
