"""What the project says of itself is true: README commands run, YAML files parse, files stay small."""

import ast
import importlib
import itertools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from tasks import parse_run
from tasks.runs import read_run
from tests import tiny
from tests.one_ray import one_ray
from utils.config_utils import read_settings

ROOT = Path(__file__).parents[1]
MUSIC, KINDS = "tasks/music_autoencoder.yaml", "tasks/classification.yaml"
PACKAGES = ["preprocessing", "models", "tasks", "utils", "postprocessing", "benchmarks", "example"]
SOURCES = [ROOT / "main.py", *(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))]


@pytest.fixture(scope="module")
def _ray(tmp_path_factory):
    with one_ray(tmp_path_factory.mktemp("ray")):
        yield


def readme_commands() -> list[list[str]]:
    """Every `python ...` line of the README's fenced blocks, as arguments; comments and `\\` continuations gone."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("python ")]


def run(command: list[str], conf: Path, *more: str) -> None:
    """Run `-m module args` or `main.py args` in this process, on the settings of `conf`."""
    name, arguments = (command[1], command[2:]) if command[0] == "-m" else ("main", command[1:])
    importlib.import_module(f"{name}.__main__" if name.startswith("preprocessing.synthetic_") else name).main(
        [*arguments, "--conf", str(conf), *more]
    )


def test_the_readme_shows_the_three_moves():
    names = [command[1] if command[0] == "-m" else command[0] for command in readme_commands()]
    assert names[:4] == [
        "preprocessing.synthetic_corpus",
        "preprocessing.clotho_dataset",
        "preprocessing.audio_logmel",
        "preprocessing.sbert_embeddings",
    ]
    assert {"main.py", "postprocessing.xmodal_scores", "postprocessing.xmodal_retrieval"} <= set(names)


@pytest.mark.usefixtures("_ray")
def test_the_three_moves_of_the_readme_run_in_order(tmp_path, capsys):
    tiny.write_sentence_encoder(tmp_path / "encoder")
    conf = tiny.write_conf(tmp_path)
    settings = tiny.clap_conf(tmp_path)
    settings["data"]["audio_embeddings"] = {"model": str(tmp_path / "runs" / "tiny" / "audio_encoder.json")}
    clap = tmp_path / "clap.yaml"
    clap.write_text(yaml.safe_dump(settings))
    for command in readme_commands():
        if command[1] in ("preprocessing.cnn14_transfer", "preprocessing.own_dataset") or {MUSIC, KINDS} & set(command):
            continue
        if any(word.startswith("ray.address=") for word in command):  # of a cluster
            continue
        its_conf = clap if "tasks/clap_projection.yaml" in command else conf
        run(command, its_conf, *(["--clips", "12"] if command[1].endswith("synthetic_corpus") else []))
    printed = capsys.readouterr().out
    assert "R@10" in printed
    assert "batch_accuracy@10" in printed
    assert (tmp_path / "runs" / "tiny" / "evaluation_retrieval_metrics.json").is_file()
    assert (tmp_path / "runs" / "tiny" / "audio_encoder.pth").is_file()
    report = json.loads((tmp_path / "runs" / "tiny-clap" / "evaluation_retrieval_metrics.json").read_text())
    assert report["chance"]["audio_to_text"]["accuracy@1"] == 1 / report["audio_to_text"]["accuracy_candidates"]
    assert (tmp_path / "runs" / "tiny-clap" / "learning_curves.png").is_file()


def run_in_order(yaml_file: str, conf: Path, more: Mapping[str, Sequence[str]], capsys: pytest.CaptureFixture) -> None:
    """Run the README's commands of a YAML on the settings of `conf`; each names the next.

    Args:
        yaml_file: of the README.
        conf: to run instead.
        more: script -> further arguments.
        capsys: of the test.
    """
    commands = [command for command in readme_commands() if yaml_file in command]
    for command, following in itertools.zip_longest(commands, commands[1:]):
        run(command, conf, *more.get(command[1], []))
        printed = capsys.readouterr().out
        if following:
            script = following[1] if following[0] == "-m" else following[0]
            assert re.search(rf"{re.escape(script)} --conf \S+$", printed.splitlines()[-1]), command


@pytest.mark.usefixtures("_ray")
def test_the_three_moves_of_music_run_in_order(tmp_path, capsys):
    settings = read_settings(ROOT / MUSIC)
    settings["data"] |= {"root": str(tmp_path / "music"), "features": str(tmp_path / "features")}
    settings |= {"output_root": str(tmp_path / "runs"), "search": {}, "model": {"name": "MLPAutoencoder"}}
    settings["training"] |= {"epochs": 1, "device": "cpu", "select_on": "val_mse"}
    conf = tmp_path / "music.yaml"
    conf.write_text(yaml.safe_dump(settings))
    few = {
        "preprocessing.synthetic_music": ["--tracks", "18"],
        "postprocessing.music_recommend": ["--control-tracks", "2"],
    }
    run_in_order(MUSIC, conf, few, capsys)
    assert (tmp_path / "runs" / "demo-music" / "test_recommendations.html").is_file()
    assert "MLPAutoencoder" in (tmp_path / "runs" / "recommendation_experiments.md").read_text()


@pytest.mark.usefixtures("_ray")
def test_the_three_moves_of_classification_run_in_order(tmp_path, capsys):
    settings = read_settings(ROOT / KINDS)
    settings["data"] |= {"root": str(tmp_path / "kinds"), "features": str(tmp_path / "features")}
    settings["output_root"] = str(tmp_path / "runs")
    settings["model"]["audio_encoder"]["base_channels"] = 2
    settings["training"] |= {"epochs": 1, "device": "cpu"}
    conf = tmp_path / "classification.yaml"
    conf.write_text(yaml.safe_dump(settings))
    run_in_order(KINDS, conf, {"preprocessing.synthetic_corpus": ["--clips", "72"]}, capsys)
    report = json.loads((tmp_path / "runs/demo-classification/evaluation_classification_metrics.json").read_text())
    assert {"demo-classification", "majority", "mfcc"} <= set(report["systems"])


def test_own_data_of_the_readme(raw, monkeypatch):
    """The command as printed, where the folder and the table are."""
    (raw / "corpus" / "development").rename(raw / "clips")
    (raw / "corpus" / "clotho_captions_development.csv").rename(raw / "captions.csv")
    monkeypatch.chdir(raw)
    (command,) = [c for c in readme_commands() if c[1] == "preprocessing.own_dataset"]
    importlib.import_module(command[1]).main(command[2:])
    tables = [Path(f"data/features/mine/{split}_text.csv").read_text().count("\n") - 1 for split in tiny.SPLITS]
    assert sum(tables) == 16  # 8 clips of 2 captions
    assert all(tables)


def test_the_runs_that_the_demos_name_next_are_runs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^(\w+) := (.*)$", makefile, flags=re.M))
    lines = re.findall(r'@echo ".*\$\(PY\) (main\.py .*)"$', makefile, flags=re.M)
    assert lines
    for line in lines:
        words = shlex.split(re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], line))
        conf = words[words.index("--conf") + 1] if "--conf" in words else "conf.yaml"
        settings = [value for option, value in itertools.pairwise(words) if option == "--set"]
        assert read_run(ROOT / conf, settings).experiment


def test_conf_yaml_is_a_run():
    assert parse_run(read_settings(ROOT / "conf.yaml"), "conf.yaml").experiment == "demo"


def test_the_dcase_recipe_of_conf_yaml_is_a_run():
    """Every number of the baseline's conf.yaml, and what its code fixes."""
    changed = tiny.uncommented((ROOT / "conf.yaml").read_text(encoding="utf-8"), "# experiment: clotho")
    recipe = parse_run(read_settings(ROOT / "conf.yaml") | changed, "the recipe")
    assert recipe.data.front_end.name == "dcase2023"
    assert recipe.data.text_embeddings.model.endswith("all-mpnet-base-v2")
    audio, text = recipe.model.audio_encoder, recipe.model.text_encoder
    assert (recipe.model.out_dim, recipe.model.out_norm) == (300, "L2")
    assert (audio.name, audio.base_channels, audio.last_pool, audio.init) == (
        "CNN14Encoder",
        64,
        "dcase2023",
        "kaiming_normal",
    )
    assert (audio.trainable, audio.freeze_blocks, audio.dropout, audio.fc_dropout) == (True, 0, 0.2, 0.5)
    assert (text.name, text.hidden_dims, text.dropout, text.init) == ("SentBERTBaseEncoder", (), 0.0, "kaiming_normal")
    loss, plateau, stopper = recipe.criterion, recipe.lr_scheduler, recipe.ray.stopper
    assert (loss.similarity, loss.temperature, loss.learnable_temperature, loss.same_clip) == (
        "dot",
        0.07,
        False,
        "mask",
    )
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.optimizer.weight_decay) == ("Adam", 0.001, 0.0)
    assert recipe.optimizer.betas == (0.9, 0.999)
    assert (plateau.name, plateau.watch, plateau.factor, plateau.patience) == (
        "ReduceLROnPlateau",
        "val_loss",
        0.1,
        5,
    )
    assert (plateau.threshold, plateau.min_lr) == (0.005, 1e-6)
    assert (stopper.watch, stopper.std, stopper.num_results, stopper.grace_epochs) == ("val_loss", 0.001, 10, 60)
    training = recipe.training
    assert (training.epochs, training.batch_size, training.clip_grad_norm) == (80, 32, None)
    assert (training.select_on, training.early_stop_patience, training.precision) == ("val_loss", None, "fp32")
    assert (training.sampling.by, training.sampling.length_pool) == ("caption", 1)
    assert (recipe.ray.num_samples, recipe.ray.scheduler, recipe.ray.keep_checkpoints) == (1, "fifo", 5)
    assert not recipe.search


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1 - (ast.get_docstring(node) or "").count("\n")
            assert lines <= 60, f"{node.name}: {lines} lines"


def test_main_is_short():
    assert (ROOT / "main.py").read_text(encoding="utf-8").count("\n") <= 80
