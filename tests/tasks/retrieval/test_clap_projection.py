"""CLAP projection: what learns and what does not, the standardisation, accuracy, and the data it may come from."""

import json

import h5py
import numpy as np
import pytest
import torch

from models.audio_encoders.cnn10 import CNN10Encoder
from postprocessing import xmodal_retrieval, xmodal_scores
from preprocessing import audio_embeddings
from tasks import check_run, experiment_of, parse_run
from tasks.retrieval.dual_encoder import check_alike
from tests import tiny
from tests.models.exported import write_panns
from tests.training import fit_of, keep_checkpoints, run_of, trained_run, write_trial
from utils.artefact_utils.pairs import Pairs, write_pairs
from utils.cli_utils import ArtefactError, ConfigError, UserError
from utils.config_utils import read_settings, to_mapping
from utils.model_utils import read_checkpoint
from utils.tune_utils.folder import prepare_folder, write_record


@pytest.fixture
def clap(prepared):
    """A folder with tables, caption vectors, audio vectors and the conf.yaml of a projection."""
    tiny.write_vectors(prepared / "vectors.npz")
    tiny.write_conf(prepared, tiny.clap_conf(prepared))
    return prepared


def vectors_of(folder, split):
    with np.load(folder / "vectors.npz") as file:
        return np.stack([file[f"{split} {number}.wav"] for number in range(tiny.SPLITS[split])])


def outputs_of(task, split="val"):
    task.model().eval()
    with torch.inference_mode():
        return task.outputs(split)


def test_the_width_of_the_shared_space_is_that_of_the_text_vectors(clap):
    task = run_of(clap).build()
    assert task.dual_encoder.out_dim == 16
    assert outputs_of(task).audio.shape == (4, 16)


def test_standardisation_is_fitted_on_training_clips_alone_and_restored(clap, tmp_path):
    run = run_of(clap)
    train = vectors_of(clap, "development").astype(np.float64)
    for split in ("train", "eval"):
        standardisation = run.build(split).dual_encoder.audio_encoder.standardisation
        mean, deviation = (train.mean(0), train.std(0)) if split == "train" else (np.zeros(6), np.ones(6))
        np.testing.assert_allclose(standardisation.mean, mean, rtol=1e-6)
        np.testing.assert_allclose(standardisation.deviation, deviation, rtol=1e-6)
    trial = write_trial(run)
    state = read_checkpoint(trial / "checkpoint_000001")["model"]
    np.testing.assert_allclose(state["dual_encoder.audio_encoder.standardisation.mean"], train.mean(0), rtol=1e-6)


def test_only_the_projection_and_the_temperature_learn(clap, tmp_path):
    run = run_of(clap, "optimizer={name: AdamW, lr: 0.01, weight_decay: 0.1}")
    fit = fit_of(run)
    learning = {name for name, p in fit.model.named_parameters() if p.requires_grad}
    layers = {f"dual_encoder.audio_encoder.layers.{name}" for name in ("weight", "bias")}
    assert learning == layers | {"criterion.log_scale"}
    before = {key: value.clone() for key, value in fit.model.state_dict().items()}
    texts = fit._task.data("train").texts.table.clone()
    audio = fit._task.data("train").audio.table.clone()
    fit.run(keep_checkpoints(tmp_path / "t"), to_mapping(run))
    after = read_checkpoint(tmp_path / "t" / "checkpoint_000001")["model"]
    assert {key for key in before if not torch.equal(before[key], after[key])} == learning
    assert torch.equal(fit._task.data("train").texts.table, texts)
    assert torch.equal(fit._task.data("train").audio.table, audio)


def test_training_brings_clips_to_their_captions(clap):
    run = run_of(clap, "training.epochs=150", "optimizer.lr=0.01", "model.audio_encoder.standardise=true")
    fit = fit_of(run)
    fit.run(lambda metrics, save: None, {})
    metrics = fit._task.metrics(outputs_of(fit._task, "train"))
    assert metrics["a2t_accuracy@1"] >= 0.75  # 8 clips; 2 captions each, of which one is asked for
    assert metrics["a2t_accuracy@10"] == 1.0


def test_accuracy_by_hand(clap):
    task = run_of(clap).build()
    outputs = outputs_of(task)
    metrics = task.metrics(outputs)
    first = [list(outputs.clip_of_caption).index(clip) for clip in range(4)]
    scores = outputs.audio @ outputs.text[first].T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(1)
    for k in (1, 3, 10):
        assert metrics[f"a2t_accuracy@{k}"] == pytest.approx((ranks <= k).mean())


def test_stage_3_writes_accuracy_and_chance(clap, capsys):
    write_trial(run_of(clap, "training.batch_size=2"))
    settings = ["--conf", str(clap / "conf.yaml")]
    xmodal_scores.main(settings)
    xmodal_retrieval.main(settings)
    report = json.loads((clap / "runs" / "tiny-clap" / "evaluation_retrieval_metrics.json").read_text())
    keys = {f"{kind}@{k}" for kind in ("accuracy", "batch_accuracy") for k in (1, 3, 10)}
    audio_to_text = report["audio_to_text"]
    assert keys <= set(audio_to_text)
    assert (audio_to_text["accuracy_candidates"], audio_to_text["accuracy_batch"]) == (4, 2)
    chance = report["chance"]["audio_to_text"]
    assert chance["accuracy@1"] == 0.25
    assert chance["accuracy@3"] == 0.75
    assert chance["batch_accuracy@1"] == 0.5
    assert chance["batch_accuracy@3"] == 1.0
    assert set(report["chance_drawn"]["audio_to_text"]) == keys
    for key in keys:
        assert report["factor_over_chance"]["audio_to_text"][key] == pytest.approx(audio_to_text[key] / chance[key])
    printed = capsys.readouterr().out
    assert "accuracy@1 " in printed
    assert "batch_accuracy@10" in printed


def test_a_text_head_and_an_mlp_can_learn_too(clap):
    head = "model.text_encoder={name: SentBERTBaseEncoder, hidden_dims: [8]}"
    run = run_of(clap, head, "model.out_dim=5", "model.audio_encoder={name: MLPProjection, hidden_dim: 7}")
    fit = fit_of(run)
    before = {key: value.clone() for key, value in fit.model.state_dict().items()}
    fit.run(lambda metrics, save: None, {})
    assert all(not torch.equal(before[key], value) for key, value in fit.model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["data.audio_embeddings=null"],
            r"model\.audio_encoder: AudioProjection takes one vector a clip, and neither data\.audio_embeddings nor "
            r"data\.pairs is set; name a frozen encoder or a file there",
        ),
        (
            ["model.out_dim=300"],
            r"model\.out_dim: found 300, but the frozen text vectors have 16 dimensions; use 16, or null",
        ),
        (["model.audio_encoder.name=CNN14Encoder"], r"model\.audio_encoder\.name: unknown name 'CNN14Encoder'"),
        (["training.select_on=accuracy"], r"training\.select_on: .*a2t_accuracy@1.*\(got 'accuracy'\)"),
    ],
)
def test_bad_settings_are_refused_in_a_line(settings, message, clap):
    with pytest.raises(ConfigError, match=message):
        run_of(clap, *settings).build()


def test_vectors_that_are_not_there_are_refused(clap):
    (clap / "vectors.npz").unlink()
    with pytest.raises(ArtefactError, match=r"vectors\.npz: no such file"):
        run_of(clap).build()


def test_the_yaml_of_the_task_is_a_run_and_so_is_its_audiocaps_block():
    text = (tiny.ROOT / "tasks" / "clap_projection.yaml").read_text(encoding="utf-8")
    run = parse_run(read_settings(tiny.ROOT / "tasks" / "clap_projection.yaml"), "clap_projection.yaml")
    assert (run.experiment, run.model.out_dim, run.criterion.learnable_temperature) == ("demo-clap", None, False)
    assert (run.data.audio_embeddings.model, run.model.audio_encoder.name) == ("package:aisfx", "MLPProjection")
    recipe = tiny.uncommented(text, "# experiment: audiocaps")
    audiocaps = parse_run(read_settings(tiny.ROOT / "tasks" / "clap_projection.yaml") | recipe, "the recipe")
    assert audiocaps.data.text_embeddings.model == "openai/clip-vit-base-patch32"
    assert audiocaps.data.audio_embeddings.model == "facebook/wav2vec2-base"
    assert (audiocaps.model.audio_encoder.name, audiocaps.criterion.learnable_temperature) == ("AudioProjection", True)
    assert audiocaps.data.splits.names() == ["train", "val", "test"]


@pytest.mark.parametrize("command", ["stage 3", "resume"])
def test_vectors_of_another_width_than_in_training_are_refused(command, clap):
    run = run_of(clap)
    trial = write_trial(run)
    tiny.write_vectors(clap / "vectors.npz", width=7)
    trained = trained_run(["--conf", str(clap / "conf.yaml")])
    commands = {"resume": lambda: fit_of(run).restore([trial / "checkpoint_000001"]), "stage 3": trained.task}
    with pytest.raises(ArtefactError) as caught:
        commands[command]()
    assert "layers.weight is (16, 6), expected (16, 7)" in str(caught.value)
    assert "make them again as they were, or train again" in str(caught.value)


def test_vectors_of_two_widths_are_refused(clap):
    with np.load(clap / "vectors.npz") as file:
        vectors = dict(file)
    vectors["development 3.wav"] = np.zeros(7, np.float32)
    np.savez(clap / "vectors.npz", **vectors)
    with pytest.raises(ArtefactError, match=r"vectors\.npz: .*\b7\b.*\b6\b|vectors\.npz: .*\b6\b.*\b7\b"):
        run_of(clap).build()


def test_widths_that_differ_between_splits_are_refused_before_training(clap):
    tiny.write_vectors(clap / "development.npz", width=6)
    tiny.write_vectors(clap / "validation.npz", width=7)
    run = run_of(clap, f"data.audio_embeddings={clap}/{{split}}.npz")
    message = "the audio vectors of 'development' have 6 dimensions, those of 'validation' 7; make both with one model"
    with pytest.raises(ArtefactError, match=message):
        check_run(run, thorough=False)


def test_a_file_without_splits_may_not_serve_clips_of_one_name_in_two_splits(clap):
    """AudioCaps numbers its clips anew in every split: 0.flac, 1.flac, ..."""
    task = run_of(clap).build()
    one, two = task.data("train"), task.data("val")
    two.clips = [two.clips[0]._replace(fname=one.clips[0].fname), *two.clips[1:]]
    with pytest.raises(ArtefactError, match=r"vectors\.npz: .* both have a clip 'development 0\.wav'"):
        check_alike(one, two)


def test_vectors_of_an_encoder_that_has_changed_are_refused(clap, capsys):
    """The same name, other weights: in training, between splits, and after it."""
    path = clap / "exported" / "audio_encoder.json"
    settings = ["--set", f"data.audio_embeddings={{model: {path}}}"]
    conf = ["--conf", str(clap / "conf.yaml"), *settings]
    write_panns(path.parent, CNN10Encoder)
    audio_embeddings.main([*conf, "--workers", "1"])
    run = run_of(clap, settings[1])
    search = experiment_of(run, check_run(run, thorough=False))
    assert set(search.revisions) == {"audio", "text"}
    write_trial(run)
    write_record(search, finished=True)
    xmodal_scores.main(conf)

    write_panns(path.parent, CNN10Encoder, seed=1)
    audio_embeddings.main([*conf, "--workers", "1"])
    again = experiment_of(run, check_run(run, thorough=False))
    assert again.data != search.data
    with pytest.raises(UserError, match="clips, captions or their vectors have changed since"):
        prepare_folder(again, resume=True)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        xmodal_scores.main(conf)
    error = capsys.readouterr().err
    assert "the audio vectors of 'evaluation' were made by sha256:" in error
    assert "the encoder of that name has changed; train again: python main.py" in error
    with h5py.File(clap / "features" / "validation_audio_embeddings.hdf5", "r+") as file:
        file.attrs["revision"] = "sha256:other"
    with pytest.raises(ArtefactError, match=r"were made by sha256:.*, those of 'validation' by sha256:other"):
        check_run(run, thorough=False)


def test_texts_of_another_model_than_the_pairs_were_made_with_are_refused(clap, tmp_path):
    tiny.write_sentence_encoder(tmp_path / "wide", width=24)
    task = run_of(clap).build()
    pairs = [
        Pairs(s.clips, s.captions, s.audio.table.numpy(), s.texts.table.numpy())
        for s in map(task.data, ("train", "val"))
    ]
    for split, rows in zip(("development", "validation"), pairs, strict=True):
        write_pairs(clap / f"embeddings_{split}.pkl", rows, {})
    settings = [f"data.pairs={clap}/embeddings_{{split}}.pkl", f"data.text_embeddings.model={tmp_path}/wide"]
    task = run_of(clap, *settings).build()
    assert task.data("train").texts.width == 16
    with pytest.raises(UserError, match=r"wide gives 24 dimensions, the run's caption vectors have 16; name the model"):
        task.embedder.texts(["a dog"])
