"""Pictures -> <split>_image_frames.hdf5: frames (T, D) of a frozen encoder for each, float16.

    python -m preprocessing.image_embeddings --conf tasks/captioning_images.yaml

data.image_embeddings names the encoder, and whether a picture has a frame for each patch or one for the whole. If
killed, it resumes when run again; the file is the same as that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from models.frozen.images import FrozenImageEncoder, load_frozen_image
from tasks import Commands, command, load_run
from tasks.base import ImageRun
from utils.artefact_utils import Clip, EmbeddingSettings, read_clips
from utils.cli_utils import existing_folder
from utils.cli_utils.encoder_options import EncoderOptions, add_encoder_options
from utils.cli_utils.repairs import make
from utils.data_utils import ImageDataSpec, making
from utils.data_utils.decoding import decoded_batches
from utils.data_utils.embedding_files import EmbeddedBatch, EmbeddingJob, check_embedding_disk, write_embeddings
from utils.image_utils import Picture, read_image
from utils.model_utils import choose_device
from utils.process_utils import all_cores

SCRIPT = "preprocessing.image_embeddings"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the frames of every picture of every split."""
    run, args = load_run(argv, _parser(), ImageRun)
    commands, options = Commands.of(args, run.script_of), EncoderOptions.of(args)
    data, wanted = run.data, run.data.image_embeddings
    existing_folder(data.root, "data.root", "correct it")
    splits = {split: read_clips(data.clip_info, split, make("tables")) for split in data.splits.names()}
    precision = options.precision or wanted.precision
    device = choose_device(options.device or run.training.device, precision)
    encoder = load_frozen_image(wanted.model, wanted.layers, device, precision)
    if encoder.precision != precision:
        print(f"on a {device.type} the encoder computes in {encoder.precision}")
    job = _job(data, encoder, options, commands.line(SCRIPT))
    frames, width = job.shape_of(next(iter(splits.values()))[0])
    what = f"{frames} patches" if wanted.pooling == "patches" else f"1 frame ({encoder.vector_pooling})"
    print(f"{encoder.name}: {what} of {width} dimensions, {encoder.describe_input()}, on {device.type}")
    with making(data, "image embeddings"):
        check_embedding_disk(job, splits, data.features)
        for split, clips in splits.items():
            write_embeddings(job, split, clips)
    print(f"next: {commands.line(run.next_script(SCRIPT))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=(__doc__ or "").splitlines()[0])
    add_encoder_options(parser, "pictures", "data.image_embeddings", all_cores())
    return parser


def _job(data: ImageDataSpec, encoder: FrozenImageEncoder, options: EncoderOptions, made_by: str) -> EmbeddingJob:
    """What the splits are embedded with."""
    wanted = data.image_embeddings
    settings = EmbeddingSettings(
        kind="frames",
        model=encoder.name,
        revision=encoder.revision,
        layers=wanted.layers,
        pooling=wanted.pooling,
        input=encoder.describe_input(),
        precision=encoder.precision,
        dtype=options.dtype or "float16",
    )
    shape = (encoder.patches, encoder.frame_width) if wanted.pooling == "patches" else (1, encoder.width)
    return EmbeddingJob(
        settings=settings,
        path_of=data.image_frames,
        failed_of=data.image_failed,
        embedded=lambda clips: _embedded(data, encoder, options, clips),
        shape_of=lambda clip: shape,
        part_clips=options.part_clips,
        made_by=made_by,
        noun="picture",
    )


def _embedded(
    data: ImageDataSpec, encoder: FrozenImageEncoder, options: EncoderOptions, clips: Sequence[Clip]
) -> Iterator[EmbeddedBatch]:
    """Batches of pictures, each with its frames or the reason why it has none."""

    def decode(clip: Clip) -> Picture:
        return encoder.prepare(read_image(data.picture(clip.path)))  # a batch that waits holds small pictures

    batches = (clips[start : start + options.batch_size] for start in range(0, len(clips), options.batch_size))
    for batch in decoded_batches(map(list, batches), decode, options.workers):
        pictures = [picture for _, picture in batch if not isinstance(picture, str)]
        frames = iter(encoder.embed(pictures, data.image_embeddings.pooling, options.batch_size))
        yield [(clip, picture if isinstance(picture, str) else next(frames)) for clip, picture in batch]


if __name__ == "__main__":
    main()
