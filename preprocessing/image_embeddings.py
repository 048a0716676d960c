"""Pictures -> <split>_image_frames.hdf5: frames (T, D) of a frozen encoder for each, float16.

    python -m preprocessing.image_embeddings --conf tasks/captioning_images.yaml

data.image_embeddings names the encoder, and whether a picture has a frame for each patch or one for the whole. If
killed, it resumes when run again; the file is the same as that of an uninterrupted run, and with --ray as without.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from models.frozen.images import FrozenImageEncoder, load_frozen_image
from models.frozen.place import EncoderPlace
from tasks import Commands, command, load_run
from tasks.base import ImageRun
from tasks.stage_1 import add_ray_option, encoder_place, files_of
from utils.artefact_utils import Clip, EmbeddingSettings, read_clips_of
from utils.cli_utils import existing_folder
from utils.cli_utils.encoder_options import EncoderOptions, add_encoder_options
from utils.cli_utils.repairs import make
from utils.data_utils import ImageDataSpec, making
from utils.data_utils.clip_writing import first_clips
from utils.data_utils.decoding import decoded_batches
from utils.data_utils.embedding_files import EmbeddedBatch, EmbeddingJob, check_embedding_disk, write_embeddings
from utils.executors import Held
from utils.image_utils import Picture, read_image
from utils.model_utils.devices import precision_on

SCRIPT = "preprocessing.image_embeddings"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the frames of every picture of every split."""
    run, args = load_run(argv, _parser(), ImageRun)
    commands, options = Commands.of(args, run.script_of), EncoderOptions.of(args)
    data, wanted = run.data, run.data.image_embeddings
    existing_folder(data.root, "data.root", "correct it")
    splits = read_clips_of(data.clip_info, data.splits.names(), make("tables"))
    device = options.device or run.training.device
    seen = [data.root, *(data.picture(clip.path) for clip in first_clips(splits)), *files_of(wanted.model)]
    with (
        making(data, "image embeddings"),
        encoder_place(run, args.ray, seen, (device, options.precision or wanted.precision), options.workers) as place,
    ):
        job = _job(data, place, options, commands.made_by(SCRIPT))
        check_embedding_disk(job, splits, data.features)
        for split, clips in splits.items():
            write_embeddings(job, split, clips, place.executor)
    print(f"next: {commands.line(run.next_script(SCRIPT))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    add_encoder_options(parser, "pictures", "data.image_embeddings")
    add_ray_option(parser)
    return parser


def _job(data: ImageDataSpec, place: EncoderPlace, options: EncoderOptions, made_by: str) -> EmbeddingJob:
    """Load the encoder; returns what the splits are embedded with."""
    wanted = data.image_embeddings
    chosen = options.precision or wanted.precision
    load = partial(load_frozen_image, wanted.model, wanted.layers, precision=chosen)
    encoder = load(device=place.here)
    precision = precision_on(place.device, chosen)
    if precision != chosen:
        print(f"on a {place.device.type} the encoder computes in {precision}")
    patches = wanted.pooling == "patches"
    shape = (encoder.patches, encoder.frame_width) if patches else (1, encoder.width)
    what = f"{encoder.patches} patches" if patches else f"1 frame ({encoder.vector_pooling})"
    print(f"{encoder.name}: {what} of {shape[1]} dimensions, {encoder.describe_input()}, on {place.device.type}")
    settings = EmbeddingSettings(
        kind="frames",
        model=encoder.name,
        revision=encoder.revision,
        layers=wanted.layers,
        pooling=wanted.pooling,
        input=encoder.describe_input(),
        precision=precision,
        dtype=options.dtype or "float16",
    )
    return EmbeddingJob(
        settings=settings,
        path_of=data.image_frames,
        failed_of=data.image_failed,
        embedded=_Embedder(data, place.held(load, encoder), options.batch_size, place.workers),
        shape_of=lambda clip: shape,
        part_clips=options.part_clips,
        made_by=made_by,
        noun="picture",
    )


@dataclass(frozen=True)
class _Embedder:
    """Embeds pictures, in any process."""

    data: ImageDataSpec
    encoder: Held[FrozenImageEncoder]
    batch_size: int
    workers: int

    def __call__(self, clips: Sequence[Clip]) -> Iterator[EmbeddedBatch]:
        """Yield batches of pictures, each with its frames or the reason why it has none."""
        encoder = self.encoder()

        def decode(clip: Clip) -> Picture:
            return encoder.prepare(read_image(self.data.picture(clip.path)))  # a batch that waits holds small pictures

        batches = (clips[start : start + self.batch_size] for start in range(0, len(clips), self.batch_size))
        for batch in decoded_batches(map(list, batches), decode, self.workers):
            pictures = [picture for _, picture in batch if not isinstance(picture, str)]
            frames = iter(encoder.embed(pictures, self.data.image_embeddings.pooling, self.batch_size))
            yield [(clip, picture if isinstance(picture, str) else next(frames)) for clip, picture in batch]


if __name__ == "__main__":
    main()
