"""Clips -> <split>_audio_embeddings.hdf5: a vector (D,) of a frozen encoder for each, or its frames (T, D).

    python -m preprocessing.audio_embeddings                    data.audio_embeddings.model names the encoder
    python -m preprocessing.audio_embeddings --frames           <split>_audio_frames.hdf5, float16
    python -m preprocessing.audio_embeddings --pickle           also embeddings_<split>.pkl, with the texts' vectors

If killed, it resumes when run again; the file is the same as that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.frozen.audio import AUDIO_MODEL_KEY, FrozenAudioEncoder, load_frozen_audio
from tasks import Commands, command, load_run
from tasks.base import AudioRun
from utils.artefact_utils import (
    Clip,
    EmbeddingParts,
    EmbeddingSettings,
    Pairs,
    place_of_pairs,
    read_audio_embeddings,
    read_clips,
    read_text_embeddings,
    read_text_table,
    remove_table,
    write_pairs,
    write_rows,
)
from utils.audio_utils import AudioError, why_refused
from utils.cli_utils import UserError, check_free_disk, existing_folder, positive
from utils.cli_utils.repairs import make
from utils.data_utils import AudioDataSpec, CaptionDataSpec, making, say_what_is_there
from utils.data_utils.decoding import Array, clip_batches, decoded_batches
from utils.model_utils import choose_device
from utils.model_utils.devices import DeviceName, Precision
from utils.process_utils import all_cores
from utils.report_utils import progress_bar

SCRIPT = "preprocessing.audio_embeddings"
_FAILED = ["fid", "fname", "reason"]


class EmbeddingJob(NamedTuple):
    """The encoder and the settings that all splits are embedded with."""

    data: AudioDataSpec
    encoder: FrozenAudioEncoder
    settings: EmbeddingSettings
    batch_size: int
    part_clips: int
    workers: int
    made_by: str  # the command that makes the files again

    @property
    def frames(self) -> bool:
        """Frames, not vectors."""
        return self.settings.kind == "frames"

    def parts(self, split: str) -> EmbeddingParts:
        """The file of a split."""
        path = self.data.audio_frames(split) if self.frames else self.data.audio_vectors(split)
        return EmbeddingParts(path, self.settings)


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the embeddings of every clip of every split."""
    run, args = load_run(argv, _parser(), AudioRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    if args.pickle and args.frames:
        raise UserError("--pickle holds one vector a clip, --frames makes many; run the two one after the other")
    if data.audio_embeddings is None or data.audio_embeddings.model is None:
        found = "names a file of another program" if data.audio_embeddings else "is not set"
        raise UserError(
            f"data.audio_embeddings {found}; to embed the clips name an encoder, such as "
            f"--set '{AUDIO_MODEL_KEY.rpartition('.')[0]}={{model: facebook/wav2vec2-base}}'"
        )
    existing_folder(data.root, "data.root", "correct it")
    splits = {split: read_clips(data.audio_info, split, make("tables")) for split in data.splits.names()}
    paired = _captioned(data) if args.pickle else None
    if paired:  # before hours of computing
        for split in splits:
            _pairs_of(paired, split)
    job = _job(run, EmbeddingOptions.of(args), commands.line(SCRIPT, *(["--frames"] if args.frames else [])))
    encoder = job.encoder
    if encoder.precision != (args.precision or data.audio_embeddings.precision):
        print(f"on a {encoder.device.type} the encoder computes in {encoder.precision}")
    width = encoder.frame_width if args.frames else encoder.width
    print(f"{encoder.name}: {width} dimensions, {encoder.describe_input()}, on {encoder.device.type}")
    with making(data, "audio embeddings"):
        check_disk(job, splits)
        for split, clips in splits.items():
            write_embeddings(job, split, clips)
        if paired:
            for split in splits:
                write_pickle(paired, split, job.settings, commands.line(SCRIPT, "--pickle"))
    print(f"next: {commands.line('main.py' if args.pickle else run.next_script(SCRIPT))}")


def _captioned(data: AudioDataSpec) -> CaptionDataSpec:
    """The same data, known to have captions.

    Raises:
        UserError: it has none.
    """
    if not isinstance(data, CaptionDataSpec):
        raise UserError(
            "--pickle pairs clips with captions, and this run has none; name another --conf, or leave it out"
        )
    return data


class EmbeddingOptions(NamedTuple):
    """How the encoder is used, as the command line says it; None: as the YAML says it."""

    frames: bool
    dtype: str
    device: DeviceName | None
    precision: Precision | None
    batch_size: int  # windows computed at once
    part_clips: int  # clips a part
    workers: int  # threads that decode

    @classmethod
    def of(cls, args: argparse.Namespace) -> EmbeddingOptions:
        """Of the arguments of this script."""
        dtype = args.dtype or ("float16" if args.frames else "float32")
        return cls(
            args.frames, dtype, args.device, args.precision, args.batch_size, args.checkpoint_every, args.workers
        )


def _job(run: AudioRun, options: EmbeddingOptions, made_by: str) -> EmbeddingJob:
    """Load the encoder.

    Raises:
        UserError: no such model or device.
    """
    data, wanted = run.data, run.data.audio_embeddings
    assert wanted is not None
    precision = options.precision or wanted.precision
    device = choose_device(options.device or run.training.device, precision)
    encoder = load_frozen_audio(
        str(wanted.model), wanted.layers, data.front_end, data.max_duration_s, device, precision
    )
    settings = settings_of(encoder, wanted.layers, options.frames, options.dtype)
    return EmbeddingJob(data, encoder, settings, options.batch_size, options.part_clips, options.workers, made_by)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", action="store_true", help="the frames of each clip, not one vector")
    parser.add_argument("--pickle", action="store_true", help="also write embeddings_<split>.pkl, a list of dicts")
    parser.add_argument("--batch-size", type=positive, default=16, help="windows computed at once (default 16)")
    parser.add_argument(
        "--checkpoint-every", type=positive, default=256, metavar="N", help="clips a part (default 256)"
    )
    parser.add_argument("--workers", type=positive, default=all_cores(), help="threads that decode (default: cores)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--float32", dest="dtype", action="store_const", const="float32", help="default for vectors")
    size.add_argument("--float16", dest="dtype", action="store_const", const="float16", help="default for frames")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], help="default: training.device")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "fp16"], help="default: data.audio_embeddings.precision"
    )
    return parser


def settings_of(encoder: FrozenAudioEncoder, layers: int | None, frames: bool, dtype: str) -> EmbeddingSettings:
    """Collect the attributes of the file."""
    return EmbeddingSettings(
        kind="frames" if frames else "vectors",
        model=encoder.name,
        revision=encoder.revision,
        layers=layers,
        pooling=encoder.pooling(frames),
        input=encoder.describe_input(),
        precision=encoder.precision,
        dtype=dtype,
    )


def check_disk(job: EmbeddingJob, splits: dict[str, list[Clip]]) -> None:
    """Print the disk need of what is still to be made: all files, and the parts of the largest split.

    Raises:
        UserError: the disk has less.
    """
    whole, parts = 0.0, [0.0]
    for split, clips in splits.items():
        finished = job.parts(split).finished()
        missing = [clip for clip in clips if clip.fid not in finished]
        if missing:
            whole += sum(_bytes(job, clip) for clip in clips)
            parts.append(sum(_bytes(job, clip) for clip in missing))
    if whole:
        print(f"{job.settings.kind} in {job.settings.dtype}: {_size(whole)}, {_size(whole + max(parts))} while made")
        check_free_disk(job.data.features, whole + max(parts), "data.features")


def _bytes(job: EmbeddingJob, clip: Clip) -> int:
    rows = job.encoder.frame_count(round(clip.duration_s * job.encoder.sample_rate_hz)) if job.frames else 1
    return (
        1024
        + rows * (job.encoder.frame_width if job.frames else job.encoder.width) * np.dtype(job.settings.dtype).itemsize
    )


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def write_embeddings(job: EmbeddingJob, split: str, clips: Sequence[Clip]) -> None:
    """Write the embeddings of one split, and the list of the clips that have none.

    Args:
        job: encoder and settings.
        split: its name.
        clips: its clips, in the order of the file.
    Raises:
        UserError: every clip was refused.
    """
    parts = job.parts(split)
    failed_table = job.data.audio_failed(split)
    remove_table(failed_table, _FAILED)
    say_what_is_there(parts, split)
    reasons = embed_missing(job, parts, split, clips)
    names = {clip.fid: clip.fname for clip in clips}
    if reasons:
        write_rows(failed_table, _FAILED, [(f, names[f], r) for f, r in reasons.items()])
        first = next(iter(reasons))
        example = f"the first is {names[first]}: {reasons[first]}"
        if len(reasons) == len(clips):
            raise UserError(f"{split}: all {len(clips)} clips were refused, {example}; repair them, see {failed_table}")
        print(f"{split}: {len(reasons)} of {len(clips)} clips have no embedding, {example}")
        print(f"{split}: training leaves them out; all of them: {failed_table}")
    kept = [clip.fid for clip in clips if clip.fid not in reasons]
    if parts.is_complete(kept) and parts.left_out() == reasons:
        parts.remove_parts()
        print(f"{split}: {len(kept)} clips, reused {parts.path}")
        return
    parts.finish(kept, reasons, job.made_by)
    print(f"{split}: {len(kept)} clips, wrote {parts.path} ({_size(parts.path.stat().st_size)})")


def embed_missing(job: EmbeddingJob, parts: EmbeddingParts, split: str, clips: Sequence[Clip]) -> dict[str, str]:
    """Embed the clips that are not on disk, part by part.

    The clips are cut into parts before those on disk are skipped, so that a resumed run computes the same batches as an
    uninterrupted one: in another batch, the last bits of an embedding can differ.

    Returns:
        fid -> reason of the clips that were refused, in table order.
    """
    finished = parts.finished()
    known = {fid for fid, path in finished.items() if path == parts.path}
    missing = sum(clip.fid not in finished for clip in clips)
    if 0 < missing < len(clips):
        print(f"{split}: {len(clips) - missing} of {len(clips)} clips are on disk already")
    ordered = sorted((c for c in clips if c.fid not in known), key=lambda clip: -clip.duration_s)
    reasons: dict[str, str] = {}
    with progress_bar(missing, f"{split}: embeddings", "clip", disable=not missing) as bar:
        for start in range(0, len(ordered), job.part_clips):
            chunk = [clip for clip in ordered[start : start + job.part_clips] if clip.fid not in finished]
            if chunk:
                embedded = _embedded(job, chunk, reasons, bar.update)
                parts.write_part([clip.fid for clip in chunk], embedded)
    return {clip.fid: reasons[clip.fid] for clip in clips if clip.fid in reasons}


def _embedded(
    job: EmbeddingJob, clips: Sequence[Clip], reasons: dict[str, str], advance: Callable[[int], object]
) -> Iterator[tuple[str, Iterator[Array]]]:
    """Yield fid and array of each clip that has one; note the reasons of the others."""
    budget_s = job.batch_size * job.encoder.max_samples / job.encoder.sample_rate_hz
    batches = clip_batches(clips, job.batch_size, budget_s)
    for batch in decoded_batches(batches, job.data.root, job.encoder.sample_rate_hz, job.workers):
        waves: dict[str, Array] = {}
        for clip, wave in batch:
            if isinstance(wave, AudioError):
                reasons[clip.fid] = str(wave)
            elif reason := why_refused(wave, job.encoder.sample_rate_hz, job.encoder.min_samples):
                reasons[clip.fid] = reason
            else:
                waves[clip.fid] = wave
        for fid, array in zip(waves, job.encoder.embed(list(waves.values()), job.frames, job.batch_size), strict=True):
            with np.errstate(over="ignore"):  # reported below
                stored = array.astype(job.settings.dtype)
            if np.isfinite(stored).all():
                yield fid, iter([stored])
            else:
                reasons[fid] = f"its embedding holds NaN or infinite values as {job.settings.dtype}"
        advance(len(batch))


def write_pickle(data: CaptionDataSpec, split: str, settings: EmbeddingSettings, made_by: str) -> None:
    """Write embeddings_<split>.pkl from the finished file of vectors."""
    pairs = _pairs_of(data, split, settings)
    notes = {"model": settings.model, "revision": settings.revision, "text_model": data.text_embeddings.model}
    path = place_of_pairs(data.pairs_made(split), notes)
    write_pairs(path, pairs, notes | {"made_by": made_by})
    print(f"{split}: {len(pairs.clips)} clips, wrote {path} ({_size(path.stat().st_size)})")


def _pairs_of(data: CaptionDataSpec, split: str, settings: EmbeddingSettings | None = None) -> Pairs:
    """The captions of a split with their vectors, and, with `settings`, its clips with theirs.

    Raises:
        ArtefactError: the text embeddings are missing, or lack a caption.
    """
    captions = read_text_table(data.text_table(split), make("tables"))
    texts = read_text_embeddings(data.text_vectors, data.text_embeddings.model, make("text-embeddings"))
    text = texts.table([caption.tid for caption in captions], make("text-embeddings"))
    if settings is None:
        return Pairs([], captions, np.zeros((0, 0), np.float32), text)
    clips = read_clips(data.audio_info, split, make("tables"))
    table = read_audio_embeddings(data.audio_source(split), clips, split)
    kept = [clip for clip, keep in zip(clips, table.kept, strict=True) if keep]
    return Pairs(kept, captions, table.vectors[table.kept], text)


if __name__ == "__main__":
    main()
