"""Clips -> <split>_audio_embeddings.hdf5: a vector (D,) of a frozen encoder for each, or its frames (T, D).

    python -m preprocessing.audio_embeddings                    data.audio_embeddings.model names the encoder
    python -m preprocessing.audio_embeddings --frames           <split>_audio_frames.hdf5, float16
    python -m preprocessing.audio_embeddings --pickle           also embeddings_<split>.pkl, with the texts' vectors

If killed, it resumes when run again; the file is the same as that of an uninterrupted run, and with --ray as without.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from models.frozen.audio import AUDIO_MODEL_KEY, FrozenAudioEncoder, load_frozen_audio
from models.frozen.place import EncoderPlace
from tasks import Commands, command, load_run
from tasks.base import AudioRun
from tasks.stage_1 import add_ray_option, encoder_place, files_of
from utils.artefact_utils import (
    Clip,
    EmbeddingSettings,
    Pairs,
    place_of_pairs,
    read_audio_embeddings,
    read_clips,
    read_clips_of,
    read_text_embeddings,
    read_text_table,
    write_pairs,
)
from utils.audio_utils import AudioError, read_wave, why_refused
from utils.cli_utils import UserError, existing_folder
from utils.cli_utils.encoder_options import EncoderOptions, add_encoder_options
from utils.cli_utils.repairs import make
from utils.data_utils import AudioDataSpec, CaptionDataSpec, making
from utils.data_utils.clip_writing import first_clips
from utils.data_utils.decoding import Array, clip_batches, decoded_batches
from utils.data_utils.embedding_files import (
    EmbeddedBatch,
    EmbeddingJob,
    check_embedding_disk,
    size_text,
    write_embeddings,
)
from utils.executors import Held
from utils.model_utils.devices import precision_on

SCRIPT = "preprocessing.audio_embeddings"


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
    splits = read_clips_of(data.audio_info, data.splits.names(), make("tables"))
    paired = _captioned(data) if args.pickle else None
    if paired:  # before hours of computing
        for split in splits:
            _pairs_of(paired, split)
    options = EncoderOptions.of(args)
    wanted = options.device or run.training.device, options.precision or data.audio_embeddings.precision
    seen = [data.root, *(data.root / clip.path for clip in first_clips(splits)), *files_of(data.audio_embeddings.model)]
    with making(data, "audio embeddings"), encoder_place(run, args.ray, seen, wanted, options.workers) as place:
        made_by = commands.made_by(SCRIPT, *(["--frames"] if args.frames else []))
        job = _job(data, place, options, frames=args.frames, made_by=made_by)
        check_embedding_disk(job, splits, data.features)
        for split, clips in splits.items():
            write_embeddings(job, split, clips, place.executor)
        if paired:
            for split in splits:
                write_pickle(paired, split, job.settings, commands.made_by(SCRIPT, "--pickle"))
    print(f"next: {commands.line('main.py') if args.pickle else commands.following(run, SCRIPT)}")


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


def _job(
    data: AudioDataSpec, place: EncoderPlace, options: EncoderOptions, *, frames: bool, made_by: str
) -> EmbeddingJob:
    """Load the encoder; returns what the splits are embedded with.

    Raises:
        UserError: no such model.
    """
    wanted = data.audio_embeddings
    assert wanted is not None
    chosen = options.precision or wanted.precision
    load = partial(
        load_frozen_audio, str(wanted.model), wanted.layers, data.front_end, data.max_duration_s, precision=chosen
    )
    encoder = load(device=place.here)
    precision = precision_on(place.device, chosen)
    if precision != chosen:
        print(f"on a {place.device.type} the encoder computes in {precision}")
    width = encoder.frame_width if frames else encoder.width
    print(f"{encoder.name}: {width} dimensions, {encoder.describe_input()}, on {place.device.type}")
    settings = EmbeddingSettings(
        kind="frames" if frames else "vectors",
        model=encoder.name,
        revision=encoder.revision,
        layers=wanted.layers,
        pooling=encoder.pooling(frames),
        input=encoder.describe_input(),
        precision=precision,
        dtype=options.dtype or ("float16" if frames else "float32"),
    )

    def shape_of(clip: Clip) -> tuple[int, ...]:
        samples = round(clip.duration_s * encoder.sample_rate_hz)
        return (encoder.frame_count(samples), encoder.frame_width) if frames else (encoder.width,)

    return EmbeddingJob(
        settings=settings,
        path_of=data.audio_frames if frames else data.audio_vectors,
        failed_of=data.audio_failed,
        embedded=_Embedder(data.root, place.held(load, encoder), frames, options.batch_size, place.workers),
        shape_of=shape_of,
        part_clips=options.part_clips,
        made_by=made_by,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", action="store_true", help="the frames of each clip, not one vector")
    parser.add_argument("--pickle", action="store_true", help="also write embeddings_<split>.pkl, a list of dicts")
    add_encoder_options(parser, "windows", "data.audio_embeddings")
    add_ray_option(parser)
    return parser


@dataclass(frozen=True)
class _Embedder:
    """Embeds clips, in any process."""

    root: Path
    encoder: Held[FrozenAudioEncoder]
    frames: bool
    batch_size: int
    workers: int

    def __call__(self, clips: Sequence[Clip]) -> Iterator[EmbeddedBatch]:
        """Yield batches of clips, each with its embedding or the reason why it has none."""
        encoder = self.encoder()

        def decode(clip: Clip) -> Array:
            wave = read_wave(self.root / clip.path, encoder.sample_rate_hz)
            if reason := why_refused(wave, encoder.sample_rate_hz, encoder.min_samples):
                raise AudioError(reason)
            return wave

        budget_s = self.batch_size * encoder.max_samples / encoder.sample_rate_hz
        for batch in decoded_batches(clip_batches(clips, self.batch_size, budget_s), decode, self.workers):
            waves = [wave for _, wave in batch if not isinstance(wave, str)]
            arrays = iter(encoder.embed(waves, self.frames, self.batch_size))
            yield [(clip, wave if isinstance(wave, str) else next(arrays)) for clip, wave in batch]


def write_pickle(data: CaptionDataSpec, split: str, settings: EmbeddingSettings, made_by: str) -> None:
    """Write embeddings_<split>.pkl from the finished file of vectors."""
    pairs = _pairs_of(data, split, settings)
    notes = {"model": settings.model, "revision": settings.revision, "text_model": data.text_embeddings.model}
    path = place_of_pairs(data.pairs_made(split), notes)
    write_pairs(path, pairs, notes | {"made_by": made_by})
    print(f"{split}: {len(pairs.clips)} clips, wrote {path} ({size_text(path.stat().st_size)})")


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
