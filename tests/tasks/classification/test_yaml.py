"""The YAML is a run as it is, and with each of its commented blocks in place of keys; so are the runs of the demo."""

import re
import shlex

import pytest
import yaml

from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from preprocessing.small_wav2vec2 import FOLDER
from tasks import parse_run
from tasks.classification.run import ClassificationRun
from tasks.runs import read_run
from tests import tiny

YAML = tiny.ROOT / "tasks" / "classification.yaml"
TEXT = YAML.read_text(encoding="utf-8")
SETTINGS = yaml.safe_load(TEXT)


def blocks():
    """Experiment -> the keys of its commented block, as a reader who uncomments them gets them."""
    found = {}
    for paragraph in TEXT.split("\n#\n"):
        lines = paragraph.splitlines()
        if lines[0].startswith("# experiment: "):
            block = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines))
            found[block["experiment"]] = block
    return found


def run_of(name):
    run = parse_run(SETTINGS | blocks()[name], name)
    assert isinstance(run, ClassificationRun)
    return run


def test_the_yaml_goes_from_the_embedded_corpus_to_the_report():
    run, scripts = parse_run(SETTINGS, "classification.yaml"), ["preprocessing.synthetic_corpus"]
    while scripts[-1] != run.script_of("scores"):
        scripts.append(run.next_script(scripts[-1]))
    assert scripts[1:] == [
        "preprocessing.youtube_dataset",
        "preprocessing.audio_logmel",
        "main.py",
        "postprocessing.classification_report",
    ]


def test_every_commented_line_is_of_a_block_or_of_its_title():
    names = ["my-videos", "my-wav2vec2", "my-wav2vec2-head", "demo-aisfx", "demo-wav2vec2"]
    assert list(blocks()) == names == re.findall(r"# experiment: (\S+)", TEXT)


@pytest.mark.parametrize("name", blocks())
def test_a_block_is_a_run(name):
    run = run_of(name)
    assert run.experiment == name
    assert run.audio_input() in ("logmel", "wave", "vector")


def test_wav2vec2_learns_by_parts():
    run = run_of("my-wav2vec2")
    encoder = run.model.audio_encoder
    assert isinstance(encoder, Wav2Vec2Spec)
    assert (encoder.model, encoder.trainable, encoder.freeze_feature_encoder) == ("facebook/wav2vec2-base", True, True)
    assert (encoder.pooling, encoder.weighted_layers) == ("statistics", True)
    assert run.optimizer.lr == 1e-3
    assert {name: group.lr for name, group in run.optimizer.groups.items()} == {"audio_encoder.backbone": 1e-5}


def test_frozen_encoders_are_computed_once():
    for name, model in (("my-wav2vec2-head", "facebook/wav2vec2-base"), ("demo-aisfx", "package:aisfx")):
        run = run_of(name)
        assert run.data.audio_embeddings.model == model
        assert run.next_script("preprocessing.youtube_dataset") == "preprocessing.audio_embeddings"


def test_blocks_of_one_list_share_its_tables_and_the_demo_its_recordings():
    """Tables that other shares or another list made are refused, or are other recordings."""
    mine = [run_of(name).data for name in ("my-videos", "my-wav2vec2", "my-wav2vec2-head")]
    demo = [parse_run(SETTINGS, "yaml").data, *(run_of(name).data for name in ("demo-aisfx", "demo-wav2vec2"))]
    for data in (mine, demo):
        assert len({(one.root, one.features, one.table, one.shares, one.seed, one.splits) for one in data}) == 1


def test_the_demo_trains_what_the_blocks_say():
    makefile = (tiny.ROOT / "Makefile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^(\w+) := (.*)$", makefile, flags=re.M))
    for variable, name in (("WAV2VEC2", "demo-wav2vec2"), ("AISFX", "demo-aisfx")):
        words = shlex.split(variables[variable].replace("$(KINDS)", variables["KINDS"]))
        assert words[:2] == ["--conf", "tasks/classification.yaml"]
        run = read_run(YAML, [word for word in words[2:] if word != "--set"])
        assert run == run_of(name)
    assert run_of("demo-wav2vec2").model.audio_encoder.model == str(run.data.features / FOLDER)
