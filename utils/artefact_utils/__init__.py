"""Writer and reader of every file that passes between stages; docs/data_formats.md describes each."""

from utils.artefact_utils.atomic import remove_leftovers, replacing, write_json
from utils.artefact_utils.audio_embeddings import (
    AudioEmbeddingParts,
    AudioEmbeddingSettings,
    AudioSource,
    AudioTable,
    front_end_mark,
    input_text,
    read_audio_embeddings,
)
from utils.artefact_utils.clip_views import ClipArrayReader
from utils.artefact_utils.dcase2023 import BaselineClip, BaselineLogMels, read_baseline_clips
from utils.artefact_utils.files import UnreadableError, check_is_file, is_there, read_file
from utils.artefact_utils.foreign_scores import ForeignScores, read_foreign_scores
from utils.artefact_utils.id_names import IdNames, read_id_names
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
from utils.artefact_utils.pairs import Pairs, read_pairs, write_pairs
from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.artefact_utils.relevance import RelevanceList, read_relevance
from utils.artefact_utils.scores import ScoreReader, write_scores
from utils.artefact_utils.shelves import shelf_of
from utils.artefact_utils.submissions import (
    SUBMISSION_YEARS,
    CheckedSubmission,
    check_submission,
    write_matrix_submission,
    write_ranked_submission,
)
from utils.artefact_utils.tables import (
    TEXT_COLUMNS,
    Caption,
    Clip,
    read_clips,
    read_text_table,
    remove_table,
    write_audio_info,
    write_rows,
    write_text_table,
    write_vocab_info,
)
from utils.artefact_utils.text_embeddings import (
    TextEmbeddings,
    read_text_embeddings,
    write_text_embeddings,
    write_unfinished,
)

__all__ = [
    "SUBMISSION_YEARS",
    "TEXT_COLUMNS",
    "AudioEmbeddingParts",
    "AudioEmbeddingSettings",
    "AudioSource",
    "AudioTable",
    "BaselineClip",
    "BaselineLogMels",
    "Caption",
    "CheckedSubmission",
    "Clip",
    "ClipArrayReader",
    "ForeignFileError",
    "ForeignScores",
    "IdNames",
    "Known",
    "LogMelParts",
    "LogMelReader",
    "LogMelSettings",
    "Pairs",
    "RelevanceList",
    "ScoreReader",
    "TextEmbeddings",
    "UnreadableError",
    "check_is_file",
    "check_submission",
    "dump_pickle",
    "front_end_mark",
    "input_text",
    "is_there",
    "known_hdf5",
    "known_pickle",
    "known_table",
    "load_pickle",
    "one_at_a_time",
    "read_audio_embeddings",
    "read_baseline_clips",
    "read_clips",
    "read_file",
    "read_foreign_scores",
    "read_id_names",
    "read_pairs",
    "read_relevance",
    "read_text_embeddings",
    "read_text_table",
    "refuse_foreign",
    "remove_leftovers",
    "remove_table",
    "replacing",
    "shelf_of",
    "write_audio_info",
    "write_json",
    "write_matrix_submission",
    "write_pairs",
    "write_ranked_submission",
    "write_rows",
    "write_scores",
    "write_text_embeddings",
    "write_text_table",
    "write_unfinished",
    "write_vocab_info",
]
