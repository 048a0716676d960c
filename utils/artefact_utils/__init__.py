"""Writer and reader of every file that passes between stages; docs/data_formats.md describes each."""

from utils.artefact_utils.atomic import remove_leftovers, replacing, see_anew, write_json
from utils.artefact_utils.audio_embeddings import (
    EmbeddingParts,
    EmbeddingSettings,
    EmbeddingSource,
    read_audio_embeddings,
)
from utils.artefact_utils.captions import CAPTION_COLUMNS, CaptionRow, read_captions, write_captions
from utils.artefact_utils.catalogue import Track, read_catalogue, write_catalogue
from utils.artefact_utils.clip_views import ClipArrayReader
from utils.artefact_utils.dcase2023 import BaselineClip, BaselineLogMels, read_baseline_clips
from utils.artefact_utils.encoder_inputs import front_end_mark, input_text
from utils.artefact_utils.files import UnreadableError, is_there
from utils.artefact_utils.frames import FrameTable, read_frames
from utils.artefact_utils.locks import one_at_a_time
from utils.artefact_utils.logmels import LogMelParts, LogMelReader, LogMelSettings
from utils.artefact_utils.ownership import (
    ForeignFileError,
    Known,
    known_hdf5,
    known_pickle,
    known_table,
    refuse_foreign,
)
from utils.artefact_utils.pairs import Pairs, place_of_pairs, read_pairs, write_pairs
from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.artefact_utils.tables import (
    TEXT_COLUMNS,
    Caption,
    Clip,
    read_clips,
    read_clips_of,
    read_text_table,
    remove_table,
    write_audio_info,
    write_rows,
    write_text_table,
    write_vocab_info,
)
from utils.artefact_utils.text_embeddings import (
    place_of_text_embeddings,
    read_text_embeddings,
    text_embeddings_beside,
    write_text_embeddings,
    write_unfinished,
)
from utils.artefact_utils.track_features import TrackFeatureParts, read_track_features

__all__ = [
    "CAPTION_COLUMNS",
    "TEXT_COLUMNS",
    "BaselineClip",
    "BaselineLogMels",
    "Caption",
    "CaptionRow",
    "Clip",
    "ClipArrayReader",
    "EmbeddingParts",
    "EmbeddingSettings",
    "EmbeddingSource",
    "ForeignFileError",
    "FrameTable",
    "Known",
    "LogMelParts",
    "LogMelReader",
    "LogMelSettings",
    "Pairs",
    "Track",
    "TrackFeatureParts",
    "UnreadableError",
    "dump_pickle",
    "front_end_mark",
    "input_text",
    "is_there",
    "known_hdf5",
    "known_pickle",
    "known_table",
    "load_pickle",
    "one_at_a_time",
    "place_of_pairs",
    "place_of_text_embeddings",
    "read_audio_embeddings",
    "read_baseline_clips",
    "read_captions",
    "read_catalogue",
    "read_clips",
    "read_clips_of",
    "read_frames",
    "read_pairs",
    "read_text_embeddings",
    "read_text_table",
    "read_track_features",
    "refuse_foreign",
    "remove_leftovers",
    "remove_table",
    "replacing",
    "see_anew",
    "text_embeddings_beside",
    "write_audio_info",
    "write_captions",
    "write_catalogue",
    "write_json",
    "write_pairs",
    "write_rows",
    "write_text_embeddings",
    "write_text_table",
    "write_unfinished",
    "write_vocab_info",
]
