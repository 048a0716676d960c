"""The command that each script of stage 1 names next is the one that the settings in use need."""

import re

import pytest
import yaml

from preprocessing import audiocaps_dataset, clip_embeddings, clotho_dataset, sbert_embeddings
from tasks import parse_run
from tests import tiny
from tests.postprocessing.commands import run

CLAP = "tasks/clap_projection.yaml"


def settings_of(name):
    return yaml.safe_load((tiny.ROOT / name).read_text(encoding="utf-8"))


def steps(settings, first="preprocessing.synthetic_corpus"):
    """What a user runs who does as each `next:` line says."""
    found = [first]
    while found[-1] != "main.py":
        found.append(parse_run(settings, "x.yaml").next_script(found[-1]))
    return found


@pytest.mark.parametrize(("target", "name"), [("demo", "conf.yaml"), ("demo-clap", CLAP)])
def test_the_demos_follow_the_next_lines(target, name):
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (tiny.ROOT / "Makefile").read_text(), re.M).group(1)
    scripts = re.findall(r"\$\(PY\) (?:-m )?(\S+)", recipe)
    assert scripts[: scripts.index("main.py") + 1] == steps(settings_of(name))


@pytest.mark.parametrize("name", ["conf.yaml", CLAP])
@pytest.mark.parametrize("tables", ["clotho_dataset", "audiocaps_dataset", "dcase2023_takeover"])
def test_tables_of_any_script_lead_to_the_features_of_the_run(name, tables):
    wanted = ["audio_logmel", "sbert_embeddings"] if name == "conf.yaml" else ["audio_embeddings", "clip_embeddings"]
    scripts = [f"preprocessing.{script}" for script in (tables, *wanted)]
    assert steps(settings_of(name), scripts[0]) == [*scripts, "main.py"]


def test_what_a_run_does_not_need_is_passed_over():
    settings = settings_of("conf.yaml")
    first = "preprocessing.clotho_dataset"
    settings["model"]["audio_encoder"] = {"name": "Wav2Vec2Encoder", "model": "facebook/wav2vec2-base"}
    assert steps(settings, first) == [first, "preprocessing.sbert_embeddings", "main.py"]
    settings["model"]["text_encoder"] = {"name": "CLIPTextEncoder", "model": "openai/clip-vit-base-patch32"}
    assert steps(settings, first) == [first, "main.py"]
    settings = settings_of(CLAP)
    settings["data"]["audio_embeddings"] = "their/{split}.npz"
    assert steps(settings) == [
        "preprocessing.synthetic_corpus",
        "preprocessing.audiocaps_dataset",
        "preprocessing.clip_embeddings",
        "main.py",
    ]
    settings["data"] |= {"audio_embeddings": None, "pairs": "their/embeddings_{split}.pkl"}
    assert steps(settings) == ["preprocessing.synthetic_corpus", "main.py"]


def test_scripts_print_the_next_of_their_settings(raw, capsys):
    """Both scripts of tables and both of caption vectors, under the settings of either system."""
    conf = tiny.conf(raw)
    clap = tiny.clap_conf(raw)
    clap["data"]["audio_embeddings"] = {"model": str(raw / "encoder")}
    clap_text = {**clap, "data": {**clap["data"], "audio_embeddings": str(raw / "vectors.npz")}}
    for settings, script, expected in (
        (conf, clotho_dataset, "-m preprocessing.audio_logmel"),
        (clap, clotho_dataset, "-m preprocessing.audio_embeddings"),
        (clap_text, clotho_dataset, "-m preprocessing.clip_embeddings"),
        (conf, sbert_embeddings, "main.py"),
        (clap, clip_embeddings, "main.py"),
    ):
        tiny.write_conf(raw, settings)
        result = run(script.main, capsys, raw)
        assert result.out.splitlines()[-1] == f"next: python {expected} --conf {raw / 'conf.yaml'}", result.err
    (raw / "corpus" / "development.tsv").touch()
    assert not hasattr(audiocaps_dataset, "NEXT_SCRIPT")  # no script knows the next one by itself
