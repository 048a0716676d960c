"""A folder of clips and a table of captions, or folders named after what is heard -> NAME.yaml, and the tables.

    python -m preprocessing.own_dataset clips captions.csv --name mine
    python -m preprocessing.own_dataset clips --name mine      each clip is in a folder that says what is heard
    python -m preprocessing.own_dataset --conf mine.yaml       again, after clips have come or gone

NAME.yaml is a copy of conf.yaml (or of --conf) with values for these clips and with those of --set; it is written once.
The table has commas, semicolons or tabs between its columns: one of file names, one or more of captions or labels, and
perhaps a group (a recording, a speaker). Files may be named with or without folders and extension.
Splits are by a hash of each clip's content, or of its group: clips that come later move no earlier one. Nothing is
written below the folder of the clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks import Commands, command, load_run, parse_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.runs import require_kind
from utils.artefact_utils import replacing
from utils.cli_utils import UserError, command_line, existing_folder, positive, python
from utils.config_utils import parse_yaml, read_settings, with_values, without_outer_comments
from utils.data_utils import making
from utils.data_utils.spec import OwnDatasetSpec
from utils.dataset_utils import write_tables
from utils.dataset_utils.own_clips import OwnClips, read_own_clips
from utils.dataset_utils.splitting import assign_splits, fair_seed
from utils.process_utils import all_cores

SCRIPT = "preprocessing.own_dataset"
_HEADER = "# {name}: {clips} clips in {root}; written by preprocessing.own_dataset, to be changed by hand.\n"
_HEADER += "# Every command takes --conf {name}.yaml. Paths are relative to the folder that it runs in.\n\n"
# Updates of the weights that a small network needs on a small set.
_UPDATES = 400


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the YAML and the tables of every split; returns 1 when --strict finds rejected clips or captions."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="of the clips; it is only read")
    parser.add_argument("captions", nargs="?", type=Path, metavar="CAPTIONS", help="a table of files and captions")
    parser.add_argument("--name", help="of the experiment and its YAML; with FOLDER")
    parser.add_argument("--shares", metavar="SHARES", help="of train, val and eval (default 0.8,0.1,0.1); with FOLDER")
    parser.add_argument("--group", metavar="COLUMN", help="clips of equal values stay in one split; with FOLDER")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if any clip or caption is rejected")
    parser.add_argument("--workers", type=positive, default=all_cores(), help="processes (default: all cores)")
    run, args = load_run(argv, parser, DualEncoderRun)
    commands = Commands.of(args, run.script_of)
    found = None
    if args.folder is not None:
        new = NewDataset.of(args)
        path = _conf_path(new)
        found = None if path.exists() else _write_conf(path, run, new)
        run, named = load_run(["--conf", str(path)], argparse.ArgumentParser(), DualEncoderRun)
        commands = Commands.of(named, run.script_of)
    elif given := [f"--{key}" for key in ("name", "shares", "group") if vars(args)[key] is not None]:
        raise UserError(f"{given[0]}: goes with FOLDER; without it, the YAML decides")
    own, data = run.data.own_dataset, run.data
    if own is None:
        raise UserError(f"{args.conf}: has no data.own_dataset; begin with: {_usage()}")
    existing_folder(data.root, "data.root", "correct it")
    clips, keys = found or _find(data.root, own, args.workers)
    raw = clips.split(keys, _shares_of(run, own.shares), own.seed)
    with commands.completing(), making(data, "tables"):
        code = write_tables(data, raw, args.workers, strict=args.strict, made_by=commands.line(SCRIPT))
    print(f"next: {commands.following(run, SCRIPT)}")
    return code


class NewDataset(NamedTuple):
    """The clips that a new YAML is written for, as the command line says it.

    Attributes:
        folder: of the clips.
        captions: a table of files and captions; None: clips are in folders named after what is heard.
        name: of the experiment and its YAML.
        shares: of train, val and eval; None: those of `OwnDatasetSpec`.
        group: column whose equal values stay in one split.
        template: the YAML that is copied.
        settings: other values, as KEY=VALUE.
        workers: processes that decode.
    """

    folder: Path
    captions: Path | None
    name: str
    shares: tuple[float, float, float] | None
    group: str | None
    template: Path
    settings: Sequence[str]
    workers: int

    @classmethod
    def of(cls, args: argparse.Namespace) -> NewDataset:
        """Of the arguments of this script.

        Raises:
            UserError: no name, no folder, or bad shares.
        """
        if args.name is None:
            raise UserError(f"--name is missing: the experiment and its YAML need one: {_usage()}")
        folder = existing_folder(args.folder, "FOLDER", "name the folder of the clips")
        shares = None if args.shares is None else _shares(args.shares)
        return cls(folder, args.captions, args.name, shares, args.group, args.conf, args.set, args.workers)

    @property
    def spec(self) -> OwnDatasetSpec:
        """The block of the YAML, with the seed of the default."""
        shares = OwnDatasetSpec().shares if self.shares is None else self.shares
        return OwnDatasetSpec(captions=self.captions, shares=shares, group=self.group)


class _Found(NamedTuple):
    """The clips of a folder, and what decides the split of each."""

    clips: OwnClips
    keys: dict[Path, str]


def _find(root: Path, own: OwnDatasetSpec, workers: int) -> _Found:
    """Find the clips, and say how folder and table were understood."""
    clips = read_own_clips(root, own.captions, own.group)
    print("\n".join(clips.understood))
    return _Found(clips, clips.keys(workers))


def _usage() -> str:
    return command_line(SCRIPT, "FOLDER", "CAPTIONS.csv", "--name", "mine")


def _conf_path(new: NewDataset) -> Path:
    """NAME.yaml; one that is there must be of the same clips.

    Raises:
        UserError: a YAML of other clips.
    """
    path = Path(f"{new.name}.yaml")
    if path.exists():
        _check_same(path, new)
        print(f"{path} is there and stays as it is; remove it for a new one")
    return path


def _write_conf(path: Path, template: DualEncoderRun, new: NewDataset) -> _Found:
    """Write the template's text, comments included, with values for these clips, once they are known to make a run.

    Raises:
        UserError: too few clips for three splits, or bad values.
    """
    own = new.spec
    clips, keys = found = _find(new.folder, own, new.workers)
    shares = _shares_of(template, own.shares)
    seed = fair_seed(list(keys.values()), shares)
    if seed is None:
        raise UserError(
            f"{new.folder}: {len(keys)} clips with captions ({len(set(keys.values()))} different contents or groups) "
            "are too few for three splits; add clips, or give other --shares"
        )
    of_key = assign_splits(keys.values(), shares, seed)
    train = sum(of_key[key] == next(iter(shares)) for key in keys.values())
    values = _values(new, template, own.model_copy(update={"seed": seed}), clips.captions_per_clip, train)
    text = _HEADER.format(name=new.name, clips=len(keys), root=new.folder)
    text += with_values(without_outer_comments(new.template.read_text(encoding="utf-8")), values)
    parse_run(parse_yaml(text), str(path))
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
    print(f"wrote {path}: {train} of {len(keys)} clips to train on")
    return found


def _values(
    new: NewDataset, template: DualEncoderRun, own: OwnDatasetSpec, captions_per_clip: int, train: int
) -> dict[str, Any]:
    """The keys that differ from the template: names, paths, and what depends on the number of clips."""
    batch_size = 32 if train >= 512 else 16 if train >= 96 else 8
    epochs = min(60, max(10, round(_UPDATES * batch_size / train)))
    values: dict[str, Any] = {
        "experiment": new.name,
        "data.root": str(new.folder),
        "data.features": f"data/features/{new.name}",
        "data.own_dataset": own.model_dump(mode="json"),
        "data.exclude_duplicates": True,
        "training.epochs": epochs,
        "training.batch_size": batch_size,
    }
    if template.training.sampling.captions_per_clip > captions_per_clip:
        values["training.sampling.captions_per_clip"] = captions_per_clip
    return values | {key: parse_yaml(text) for key, _, text in (setting.partition("=") for setting in new.settings)}


def _check_same(path: Path, new: NewDataset) -> None:
    """Make sure that a YAML that is there is of the same clips.

    Raises:
        UserError: it is not.
    """
    data = require_kind(parse_run(read_settings(path), str(path)), DualEncoderRun, str(path)).data
    own = data.own_dataset or OwnDatasetSpec()
    wanted: dict[str, tuple[object, object]] = {
        "data.root": (data.root, new.folder),
        "data.own_dataset.captions": (own.captions, new.captions),
    }
    if new.shares:
        wanted["data.own_dataset.shares"] = (own.shares, new.shares)
    if new.group:
        wanted["data.own_dataset.group"] = (own.group, new.group)
    for key, (there, given) in wanted.items():
        if _resolved(there) != _resolved(given):
            raise UserError(
                f"{path}: is there, and {key} is {there}, not {given}; name another experiment with --name, or change "
                f"{path} and run: {python()} -m {SCRIPT} --conf {path}"
            )
    if new.settings:
        raise UserError(f"{path}: is there; --set goes into a new one: change {path} instead")


def _resolved(value: object) -> object:
    """Resolve a path, so that two spellings of it are equal."""
    return value.resolve() if isinstance(value, Path) else value


def _shares(text: str) -> tuple[float, float, float]:
    try:
        first, second, third = map(float, text.split(","))
        return OwnDatasetSpec(shares=(first, second, third)).shares
    except ValueError as error:
        raise UserError(f"--shares: found {text}, expected three positive shares that sum to 1: 0.8,0.1,0.1") from error


def _shares_of(run: DualEncoderRun, shares: Sequence[float]) -> dict[str, float]:
    """Map each split to its share.

    Raises:
        UserError: two of data.splits are one.
    """
    names = run.data.splits.names()
    if len(names) != 3:
        raise UserError(f"data.splits: expected three different splits, found {', '.join(names)}")
    return dict(zip(names, shares, strict=True))


if __name__ == "__main__":
    main()
