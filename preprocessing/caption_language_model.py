"""Training captions -> <features>/language_model: a small language model of words, where no pretrained one is at hand.

    python -m preprocessing.caption_language_model --conf tasks/captioning.yaml

A Qwen3 of 0.7 M parameters and a tokenizer of the captions' words, as transformers saves its own: name the folder in
model.language_model.name. It trains on the text of the training captions alone, a minute on 2 cores, and reports the
perplexity of the validation captions, which choose the best of its states. Killed, it leaves nothing; run again with
the same captions and options, it is reused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.caption_language_model import (
    Perplexity,
    SmallModelSettings,
    caption_documents,
    new_language_model,
    save_language_model,
    train_language_model,
    word_tokenizer,
)
from tasks import Commands, command, load_run
from tasks.base import RunSpec
from utils.artefact_utils import ForeignFileError, read_text_table, write_json
from utils.cli_utils import ConfigError, UserError, positive
from utils.cli_utils.repairs import make
from utils.config_utils import read_json
from utils.data_utils import CaptionDataSpec, ImageDataSpec, making
from utils.report_utils import progress_bar

SCRIPT = "preprocessing.caption_language_model"
NOTES = "training.json"  # in the folder: what the model was made of
FORMAT_VERSION = 1


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Train the language model of a run's captions."""
    run, args = load_run(argv, _parser(), RunSpec)
    commands, data = Commands.of(args, run.script_of), run.data
    if not isinstance(data, CaptionDataSpec | ImageDataSpec):
        raise ConfigError(f"{args.conf}: task {run.task} has no captions; name another --conf")
    if args.hidden_size % 32:
        raise UserError(f"--hidden-size {args.hidden_size}: expected a multiple of 32, the width of an attention head")
    settings = SmallModelSettings(
        hidden_size=args.hidden_size,
        layers=args.layers,
        vocabulary=args.vocabulary,
        steps=args.steps,
        batch_clips=32,
        learning_rate=3e-3,
        seed=args.seed,
    )
    training, held_out = (_captions_of_clips(data, split) for split in (data.splits.train, data.splits.val))
    notes = _notes(training, held_out, settings)
    names = ("steps", "hidden_size", "layers", "vocabulary", "seed")
    chosen = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(args, name)))]
    folder = data.language_model
    found = _found_notes(folder)
    if found is not None and {key: found.get(key) for key in notes} == notes:
        print(f"reused {folder}: {_described(Perplexity(**found['perplexity']), len(held_out), data.splits.val)}")
    else:
        if found is not None:
            print(f"{folder} is replaced, and runs trained with it refuse the new one; again: {found.get('made_by')}")
        with making(data, "language model"):
            reached = _write(folder, training, held_out, settings, notes | {"made_by": commands.line(SCRIPT, *chosen)})
        print(f"wrote {folder}: {_described(reached, len(held_out), data.splits.val)}")
    print(f"use it:  --set model.language_model.name={folder}")
    print(f"next: {commands.line(run.next_script(SCRIPT) if 'language-model' in run.scripts else 'main.py')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=positive, default=400, help="of training, 32 clips each (default 400)")
    parser.add_argument("--hidden-size", type=positive, default=128, help="a multiple of 32 (default 128)")
    parser.add_argument("--layers", type=positive, default=3, help="of the network (default 3)")
    parser.add_argument("--vocabulary", type=positive, default=8192, help="most words at most (default 8192)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default 0)")
    return parser


def _captions_of_clips(data: CaptionDataSpec | ImageDataSpec, split: str) -> list[list[str]]:
    """The captions of each clip of a split, as people wrote them."""
    clips: dict[str, list[str]] = {}
    for caption in read_text_table(data.text_table(split), make("tables")):
        if caption.text:
            clips.setdefault(caption.fid, []).append(caption.raw_text)
    if not clips:
        raise UserError(f"{data.text_table(split)}: holds no caption with a word; write it again: {make('tables')}")
    return list(clips.values())


def _notes(training: list[list[str]], held_out: list[list[str]], settings: SmallModelSettings) -> dict[str, Any]:
    """What decides on the model's weights."""
    captions = json.dumps([training, held_out]).encode()
    digest = hashlib.blake2b(captions, digest_size=16).hexdigest()
    return {"format_version": FORMAT_VERSION, "captions": digest, "settings": settings._asdict()}


def _found_notes(folder: Path) -> dict[str, Any] | None:
    """The notes of the folder that is there; None: there is none.

    Raises:
        ForeignFileError: a file, or a folder that this script did not make.
    """
    if not folder.exists():
        return None
    try:
        notes = read_json(folder / NOTES)
        if notes["format_version"] >= 1 and len(notes["perplexity"]) == len(Perplexity._fields):
            return dict(notes)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    raise ForeignFileError(f"{folder}: holds no {NOTES} of {SCRIPT}, so that it is not replaced; move it elsewhere")


def _write(
    folder: Path,
    training: list[list[str]],
    held_out: list[list[str]],
    settings: SmallModelSettings,
    notes: dict[str, Any],
) -> Perplexity:
    """Train beside the folder's place, then rename."""
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):  # of killed processes: only one is at work
        shutil.rmtree(leftover)
    tokenizer = word_tokenizer([text for captions in training for text in captions], settings.vocabulary)
    documents, validation = (caption_documents(tokenizer, clips) for clips in (training, held_out))
    network = new_language_model(tokenizer, settings)
    parameters = sum(p.numel() for p in network.parameters())
    print(f"{len(training)} clips, {len(tokenizer)} words, {parameters / 1e6:.1f} M parameters")
    with progress_bar(settings.steps, "language model", "step") as bar:

        def advance(loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.2f}", refresh=False)
            bar.update()

        reached = train_language_model(network, documents, validation, settings, advance)
    beside, before = (folder.with_name(f".{folder.name}.partial-{os.getpid()}{end}") for end in ("", "-old"))
    try:
        save_language_model(network, tokenizer, beside)
        write_json(beside / NOTES, notes | {"perplexity": reached._asdict()})
        if folder.exists():
            folder.rename(before)
        beside.rename(folder)
    finally:
        for leftover in (beside, before):
            shutil.rmtree(leftover, ignore_errors=True)
    return reached


def _described(found: Perplexity, clips: int, split: str) -> str:
    return (
        f"perplexity on the captions of {clips} clips of {split}: {found.alone:.1f} each alone, "
        f"{found.after_others:.1f} after the clip's other captions"
    )


if __name__ == "__main__":
    main()
