"""Captions -> data.text_embeddings.file: a vector (E,) float32 for every tid, by data.text_embeddings.model.

    python -m preprocessing.text_embeddings

The model is a sentence encoder or the text encoder of a CLIP, whichever the name means; preprocessing.sbert_embeddings
and preprocessing.clip_embeddings do the same. The vectors of a CLIP are those of the shared space, after the
projection, and not of length 1. Captions longer than the model's maximum are truncated, and counted.
Run again, it embeds only what is missing; a kill loses at most the chunks of captions at work.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from models.frozen.caption_vectors import write_caption_vectors
from tasks import Commands, command, load_run
from tasks.base import CaptionRun
from tasks.stage_1 import add_ray_option, encoder_place, files_of
from utils.artefact_utils import read_text_table
from utils.cli_utils import positive
from utils.cli_utils.repairs import make
from utils.data_utils import making
from utils.model_utils.devices import DeviceName, Precision

SCRIPT = "preprocessing.text_embeddings"
CLIP = "openai/clip-vit-base-patch32"


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the embeddings of every caption of every split."""
    embed_captions(argv, SCRIPT, __doc__)


def embed_captions(argv: Sequence[str] | None, script: str, description: str, *, expects_clip: bool = False) -> None:
    """Run this script under any of its names.

    Args:
        argv: the command line.
        script: the name that was called: messages and the file name it as the command that makes the file again.
        description: of the script; its first line is shown by --help.
        expects_clip: say so where the model is not a CLIP: it works, in a space of its own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {script}", description=description.splitlines()[0])
    parser.add_argument("--batch-size", type=positive, default=64, help="captions a batch (default 64)")
    add_ray_option(parser)
    run, args = load_run(argv, parser, CaptionRun)
    commands = Commands.of(args, run.script_of)
    data = run.data
    captions = [c for split in data.splits.names() for c in read_text_table(data.text_table(split), make("tables"))]
    model = data.text_embeddings.model
    wanted: tuple[DeviceName, Precision] = (run.training.device, "fp32")
    with making(data, "caption vectors"), encoder_place(run, args.ray, files_of(model), wanted, None) as place:
        made_by = commands.made_by(script)
        notes = write_caption_vectors(data.text_vectors, captions, model, made_by, args.batch_size, place)
    if expects_clip and notes.get("kind") != "CLIP":
        print(
            f"the captions' space is that of the sentence encoder {model}, not CLIP's; for CLIP, where a hub or a "
            f"folder has it: --set data.text_embeddings.model={CLIP}"
        )
    print(f"next: {commands.following(run, script)}")


if __name__ == "__main__":
    main()
