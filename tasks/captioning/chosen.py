"""The captions that are measured: those of a checkpoint, with what they were written with, or another system's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks.captioning.written import CaptionedRun, captions_path, matched_captions
from tasks.trained import TrainedRun
from utils.artefact_utils.caption_parts import made_with_of
from utils.cli_utils import ArtefactError, UserError, short_repr
from utils.config_utils import read_json, to_mapping
from utils.data_utils.caption_rows import MatchedCaptions
from utils.data_utils.recordings import recordings_of
from utils.model_utils.checkpoints import FACTS_FILE

_GENERATION = "generation"


class Captions(NamedTuple):
    """Captions with their clips and references."""

    path: Path
    label: str  # which system, for people
    run: CaptionedRun
    split: str
    folder: Path  # of the results
    matched: MatchedCaptions
    trained: TrainedRun[Any] | None  # None: of another system
    made_from: Mapping[str, Any]  # checkpoint, generation settings, ..., as files of results note it
    remark: str | None = None  # what is not known of them, or not as the trial's settings have it

    def publish(self, path: Path) -> Path:
        """Show a file of the best trial in runs/<experiment>/ too; returns the path to name to the user."""
        return path if self.trained is None else self.trained.publish(path)


def own_captions(trained: TrainedRun[Any], changed: Sequence[str]) -> Captions:
    """The captions of the checkpoint that a command line chooses.

    Args:
        trained: the checkpoint and the split.
        changed: the keys that `--set` named.
    Raises:
        UserError: the captions are missing, broken, changed, of another checkpoint or written with other settings than
            `--set` names.
    """
    path = captions_path(trained)
    with trained.commands.completing():
        writes = "captions" in trained.run.scripts
        again = trained.command_for(trained.run.script_of("captions")) if writes else "name a file of captions"
        made_with = made_with_of(path, again) if writes and path.is_file() else None
        label, remark = f"{trained.trial.folder.name}, checkpoint not known", None
        if made_with is not None:
            _refuse_other_checkpoint(trained, path, made_with, again)
            _refuse_other_generation(trained, path, made_with, changed)
            label, remark = trained.checkpoint, _other_than_trained(trained, made_with)
        elif path.is_file():
            remark = f"{path}: nothing beside it notes which checkpoint wrote it; to know: {again}"
        repair = f"write it: {again}" if writes else again
        matched = matched_captions(path, repair, trained.run, trained.split, own=True)
        trained.check_unseen(recordings_of(matched.clips.values()))
    settings = {key: (made_with or {}).get(key) for key in (_GENERATION, "precision", "rerank")}
    made_from = {"checkpoint": None if made_with is None else label, **settings}
    return Captions(path, label, trained.run, trained.split, trained.trial.folder, matched, trained, made_from, remark)


def _refuse_other_checkpoint(trained: TrainedRun[Any], path: Path, made_with: Mapping[str, Any], again: str) -> None:
    """Refuse captions of other weights than those that the command line chooses, whose name they would get.

    Raises:
        ArtefactError: they are of another checkpoint, or of one of the same name of an earlier training.
    """
    folder = trained.trial.checkpoint.folder
    found, wanted = made_with.get("checkpoint"), folder.name
    if found == wanted and made_with.get("blake2b") == read_json(folder / FACTS_FILE, allow_nan=True)["blake2b"]:
        return
    if found == wanted:
        raise ArtefactError(f"{path}: was written by an earlier {wanted}, which has changed; write it again: {again}")
    measured = ""
    if isinstance(found, str) and (folder.parent / found).is_dir():
        script = trained.run.script_of("caption-metrics")
        measured = f", or measure it as it is: {trained.command_for(script, '--checkpoint', found)}"
    raise ArtefactError(
        f"{path}: was written by {short_repr(found)}, the command line means {wanted}; write it again: {again}"
        f"{measured}"
    )


def _refuse_other_generation(
    trained: TrainedRun[Any], path: Path, made_with: Mapping[str, Any], changed: Sequence[str]
) -> None:
    """Refuse captions that were not written as `--set generation...` of the command line says.

    Raises:
        UserError: they were not.
    """
    other = _other_generation(trained, made_with)
    if other and any(key.split(".")[0] == _GENERATION for key in changed):
        again = trained.command_for(trained.run.script_of("captions"))
        raise UserError(
            f"--set: {path} was written with {other}; leave {_GENERATION} out to measure it, or write it again: {again}"
        )


def _other_generation(trained: TrainedRun[Any], made_with: Mapping[str, Any]) -> str:
    """The generation settings that differ from those of the run, such as 'generation.max_new_tokens=1'."""
    own, found = to_mapping(trained.run)[_GENERATION], made_with.get(_GENERATION)
    if not isinstance(found, Mapping):
        return "" if found == own else f"{_GENERATION}={short_repr(found)}"
    return ", ".join(f"{_GENERATION}.{key}={found[key]}" for key in found if found[key] != own.get(key))


def _other_than_trained(trained: TrainedRun[Any], made_with: Mapping[str, Any]) -> str | None:
    """One line of the settings of captions that the run does not have; None where they are the run's."""
    changed = [_other_generation(trained, made_with)]
    if (precision := made_with.get("precision")) != trained.run.training.precision:
        changed.append(f"precision {precision}")
    if made_with.get("rerank"):
        changed.append(f"reranking by {made_with['rerank'][0]}, {made_with['rerank'][1]} candidates")
    found = ", ".join(filter(None, changed))
    return f"written with {found}" if found else None


def foreign_captions(file: Path, split: str, conf: CaptionedRun, folder: Path) -> Captions:
    """The captions of another system.

    Args:
        file: CSV or JSON.
        split: its name.
        conf: the run whose clips they are of.
        folder: of the results.
    Raises:
        ArtefactError: it is missing or broken, or its clips are not those of the split.
    """
    matched = matched_captions(file, "name a file of captions", conf, split)
    return Captions(file, str(file), conf, split, folder, matched, None, {"checkpoint": str(file)})
