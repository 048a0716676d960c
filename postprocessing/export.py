"""An audio encoder alone, from a trained run or from a published file: audio_encoder.pth and audio_encoder.json.

    python -m postprocessing.export                             of the best trial; written in its folder
    python -m postprocessing.export --from audio_encoder.pth    of the DCASE 2023 baseline, or its `checkpoint`

The features that the run was trained on are not needed. With --from, FILE holds a CNN of PANNs with a last layer, in
any of the layouts that preprocessing.cnn14_transfer reads; nothing is trained, and out_norm is model.out_norm.
example/audio_encoder.py shows how to use the two files.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.audio_encoders.panns import PANNsSpec
from models.audio_encoders.panns_front_ends import front_end_of
from models.audio_encoders.panns_published import read_published
from tasks import TrainedRun, command, load_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.scores import trained_dual_encoder
from tasks.trained import CheckpointChoice, add_checkpoint_arguments, find_trained_run
from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError, UserError, python, shell_join
from utils.cli_utils.repairs import make
from utils.config_utils import to_mapping
from utils.model_packages import sha256
from utils.weight_utils import check_values, key_problems, write_weights

SCRIPT = "postprocessing.export"
FOLDER = Path("pretrained_models")
NAMES = ("audio_encoder.pth", "audio_encoder.json")
_PREFIX = "dual_encoder.audio_encoder."


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the weights of the audio encoder, and how to build it and what to feed it."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="published weights, not a trained run")
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"with --from (default: {FOLDER}/<FILE's name>)")
    add_checkpoint_arguments(parser)
    conf, args = load_run(argv, parser, DualEncoderRun)
    choice = CheckpointChoice.of(args)
    _check_choice(choice, args.source, args.output)
    if args.source is None:
        trained = find_trained_run(conf, choice, DualEncoderRun)
        with trained.commands.completing():
            export_trained(trained)
    else:
        source: Path = args.source.expanduser()
        export_published(source, args.output or FOLDER / source.stem, conf)


def _check_choice(choice: CheckpointChoice, source: Path | None, output: Path | None) -> None:
    """Refuse options that would change nothing."""
    if choice.split is not None:
        raise UserError(f"--split {choice.split}: an encoder is exported without data; leave it out")
    if source is None and output is not None:
        raise UserError(f"--output {output}: goes with --from; the files of a run are written in its trial's folder")
    if source is not None and (chosen := choice._replace(conf=()).arguments()):
        raise UserError(f"{' '.join(chosen[:2])}: chooses a trained run, --from a file; leave one of them out")


def export_trained(trained: TrainedRun[DualEncoderRun]) -> None:
    """Write the encoder of a run in its trial's folder."""
    model, data, folder = trained.run.model, trained.run.data, trained.trial.folder
    state = _state_of(trained)
    checkpoint = trained.trial.checkpoint.folder
    spec, out_dim = model.audio_encoder, model.out_dim or _width_of(state, checkpoint)
    if isinstance(spec, PANNsSpec):
        with torch.device("meta"):  # names and shapes alone
            wanted = spec.model_copy(update={"weights": None}).build(out_dim, data.front_end.n_mels).state_dict()
        if problems := key_problems(wanted, state):
            raise ArtefactError(f"{checkpoint}: does not fit {spec.name}: {problems}; use another checkpoint")
    check_values(state, checkpoint, "use another checkpoint")
    settings = to_mapping(spec) | ({"weights": None} if isinstance(spec, PANNsSpec) else {})  # they are written here
    facts = _facts(trained.run, settings, out_dim, to_mapping(data.front_end))
    embeddings = None if data.audio_embeddings is None else to_mapping(data.audio_embeddings)
    facts |= {"audio_embeddings": embeddings, "made_from": trained.checkpoint}
    weights = _write(folder, state, facts)
    print(f"wrote {trained.publish(weights)}\nwrote {trained.publish(weights.with_suffix('.json'))}")
    if spec.input == "logmel":
        _print_next(trained.publish(weights.with_suffix(".json")))


def _state_of(trained: TrainedRun[DualEncoderRun]) -> dict[str, Tensor]:
    """All weights of the audio encoder, those of its frozen networks among them, which the checkpoint does not hold."""
    if any(f"{name}.".startswith(_PREFIX) for name in trained.saved.frozen or {}):
        return trained_dual_encoder(trained, measures=False).dual_encoder.audio_encoder.state_dict()
    weights = trained.saved.weights
    return {key.removeprefix(_PREFIX): value for key, value in weights.items() if key.startswith(_PREFIX)}


def export_published(source: Path, folder: Path, run: DualEncoderRun) -> None:
    """Write the encoder of a published file.

    Args:
        source: the file.
        folder: where to write.
        run: says what a file leaves open: the front-end, and the norm of embeddings.
    Raises:
        UserError: no CNN of PANNs, or one without a last layer; or `folder` is that of the file itself.
    """
    again = f"name another file: {make('exported-encoder', '--from', 'FILE')}"
    published = read_published(source, None, again)
    if published.out_dim is None or published.drawn(published.out_dim):
        transfer = make("initial-weights", str(source))
        raise UserError(
            f"{source}: holds {published.kind.__name__} without a trained last layer: its embeddings meet no text; "
            f"train one: {transfer}"
        )
    if source.resolve() in {(folder / name).resolve() for name in NAMES}:
        raise UserError(f"--output {folder}: holds {source} itself; name another folder")
    settings: dict[str, Any] = {"name": published.kind.__name__, "base_channels": published.base_channels}
    if published.last_pool != "panns":
        settings["last_pool"] = published.last_pool
    front_end = front_end_of(published, run.data.front_end) or run.data.front_end
    facts = _facts(run, settings, published.out_dim, to_mapping(front_end))
    facts |= {"input": "logmel", "audio_embeddings": None, "made_from": f"{source.name}, sha256 {sha256(source)}"}
    weights = _write(folder, published.build(published.out_dim).state_dict(), facts)
    print(f"wrote {weights}\nwrote {weights.with_suffix('.json')}\nfront-end: {front_end.describe()}")
    _print_next(weights.with_suffix(".json"))


def _facts(run: DualEncoderRun, spec: Mapping[str, Any], out_dim: int, front_end: Mapping[str, Any]) -> dict[str, Any]:
    """What audio_encoder.json says of any encoder."""
    return {
        "audio_encoder": dict(spec),
        "out_dim": out_dim,
        "out_norm": run.model.out_norm,
        "input": run.model.audio_encoder.input,
        "front_end": dict(front_end),
        "max_duration_s": run.data.max_duration_s,
    }


def _width_of(state: Mapping[str, Tensor], checkpoint: Path) -> int:
    """E: the outputs of the last matrix, where model.out_dim leaves it to the text vectors."""
    widths = [len(value) for value in state.values() if value.dim() == 2]
    if not widths:
        raise ArtefactError(f"{checkpoint}: holds no weights of an audio encoder; use another checkpoint")
    return widths[-1]


def _write(folder: Path, state: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    weights, described = (folder / name for name in NAMES)
    notes = {"encoder": facts["audio_encoder"]["name"], "out_dim": facts["out_dim"]}
    if last_pool := facts["audio_encoder"].get("last_pool"):
        notes["last_pool"] = last_pool
    write_weights(weights, state, notes)
    write_json(described, facts)
    return weights


def _print_next(described: Path) -> None:
    project = Path(__file__).parents[1]  # from another folder, by whole paths
    names = [Path("example/audio_encoder.py"), Path("example/example.wav")]
    line = shell_join([python(), *(str(name if name.is_file() else project / name) for name in names), str(described)])
    print(f"next: {line}")


if __name__ == "__main__":
    main()
