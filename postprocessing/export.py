"""A trained run -> its audio encoder alone: audio_encoder.pth and audio_encoder.json.

    python -m postprocessing.export

example/audio_encoder.py shows how to use the two files.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tasks import Trained, load_trained
from utils.artefact_utils import write_json
from utils.cli_utils import command, python
from utils.config_utils import to_mapping
from utils.weight_utils import write_weights

SCRIPT = "postprocessing.export"
_PREFIX = "dual_encoder.audio_encoder."


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the weights of the audio encoder, and how to build it and what to feed it."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    trained, _ = load_trained(argv, parser)
    export_audio_encoder(trained)


def export_audio_encoder(trained: Trained) -> None:
    """Write audio_encoder.pth (the state dict) and audio_encoder.json (Spec, width, norm, and what to feed it)."""
    model, data, folder = trained.run.model, trained.run.data, trained.trial.folder
    state = {key.removeprefix(_PREFIX): value for key, value in trained.state.items() if key.startswith(_PREFIX)}
    weights, facts = folder / "audio_encoder.pth", folder / "audio_encoder.json"
    out_dim = trained.task().dual_encoder.out_dim
    write_weights(weights, state, {"encoder": model.audio_encoder.name, "out_dim": out_dim})
    write_json(
        facts,
        {
            "audio_encoder": to_mapping(model.audio_encoder),
            "out_dim": out_dim,
            "out_norm": model.out_norm,
            "input": model.audio_encoder.input,
            "front_end": to_mapping(data.front_end),
            "audio_embeddings": None if data.audio_embeddings is None else to_mapping(data.audio_embeddings),
            "made_from": trained.checkpoint,
        },
    )
    print(f"wrote {trained.publish(weights)}\nwrote {trained.publish(facts)}")
    if model.audio_encoder.input == "logmel":
        print(f"next: {python()} example/audio_encoder.py example/example.wav {trained.publish(facts)}")


if __name__ == "__main__":
    main()
