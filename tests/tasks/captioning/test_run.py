"""What a run of captioning refuses, in one line each, and the order of its scripts."""

import shutil

import pytest

from postprocessing import captions, xmodal_scores
from tasks import check_run, parse_run
from tasks.runs import check_search
from tests import tiny, tiny_language, tiny_models
from tests.tasks.captioning import corpora
from tests.training import fit_of, reports_of, write_trial
from utils.artefact_utils import read_text_table, write_text_table
from utils.cli_utils import ArtefactError, ConfigError, UserError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.audio_embeddings=their/{split}.npz", r"data: audio_embeddings: found a file of another program"),
        ("data.pairs=embeddings_{split}.pkl", r"data: pairs: holds one vector a clip"),
        ("model.adapter.name=Adapter", r"model\.adapter\.name: unknown name 'Adapter'; .*'MeanPoolingAdapter'"),
        ("model.language_model.dtype=float16", r"model\.language_model\.dtype"),
        ("training.select_on=BLEU", r"training\.select_on: unknown metric; choices: val_loss, CIDEr-D, use_of_input"),
    ],
)
def test_bad_keys_are_named(sounds, setting, message):
    with pytest.raises(ConfigError, match=message):
        sounds.run(setting)


def test_a_search_goes_over_all_adapters(sounds):
    """Keys of the others do not count; a key of none is a mistake."""
    names = ["MeanPoolingAdapter", "PerceiverAdapter", "Conv1dAdapter", "LeastSquaresAdapter"]
    run = sounds.run(f"search={{model.adapter.name: {{grid: [{', '.join(names)}]}}}}")
    check_search(run)
    for name in names:
        adapter = sounds.run(f"model.adapter.name={name}").model.adapter
        assert (adapter.name, adapter.standardise) == (name, True)
    with pytest.raises(ConfigError, match=r"model\.adapter\.hiddn_dim: unknown key"):
        sounds.run("model.adapter.hiddn_dim=3")


def test_a_metric_of_the_sample_needs_one_every_epoch(sounds):
    sounds.run("training.select_on=CIDEr-D")
    for setting in ("training.sample_clips=0", "training.sample_every=2"):
        with pytest.raises(ConfigError, match=r"training\.select_on: CIDEr-D is measured on a sample"):
            sounds.run("training.select_on=CIDEr-D", setting)
        sounds.run(setting)


def steps(run, first):
    found = [first]
    while found[-1] != "main.py":
        found.append(run.next_script(found[-1]))
    return [script.removeprefix("preprocessing.") for script in found]


def test_a_metric_of_the_sample_is_refused_before_training_where_nothing_can_be_shuffled(made):
    run = made.run("training.select_on=CIDEr-D")
    task = run.build()
    splits = [task.data("train"), task.data("val")]
    assert run.check_splits(splits, thorough=False) == []
    splits[1].clips = splits[1].clips[:1]
    with pytest.raises(
        ConfigError, match=r"training\.select_on: CIDEr-D needs at least 2 clips, and '.*' has 1; watch"
    ):
        run.check_splits(splits, thorough=False)


def test_words_that_the_language_model_does_not_know_are_said(made):
    run = made.run()
    train = run.build().data("train")
    assert train.unknown_share == 0
    train._unknown = int(train._tokens.flat[0])
    [line] = run.check_splits([train], thorough=False)
    assert line.startswith(f"{train.name}: {run.model.language_model.name} does not know ")


def test_the_scripts_in_their_order(made):
    run, own = made.run(), made.run(f"model.language_model.name={made.folder}/features/language_model")
    sounds = ["synthetic_corpus", "clotho_dataset", "audio_embeddings"]
    pictures = ["synthetic_pictures", "flickr8k_dataset", "image_embeddings"]
    wanted = sounds if made.kind == "sounds" else pictures
    first = f"preprocessing.{wanted[0]}"
    assert steps(run, first) == [*wanted, "main.py"]
    assert steps(own, first) == [*wanted, "caption_language_model", "main.py"]
    assert run.next_script("main.py") == "postprocessing.captions"
    grid = "search={optimizer.lr: {loguniform: [0.001, 0.1]}, model.adapter.tokens: {grid: [1, 2]}}"
    for settings in ([grid], ["ray.num_samples=2"]):
        run = made.run(*settings)
        assert run.next_script("main.py") == "postprocessing.caption_metrics"
        assert run.script_options["postprocessing.caption_metrics"] == ["--trials"]
    assert made.run(grid.replace("[1, 2]", "[1]")).next_script("main.py") == "postprocessing.captions"


def test_the_line_after_the_tables_asks_for_frames(sounds, capsys):
    from preprocessing import clotho_dataset

    clotho_dataset.main(["--conf", sounds.conf, "--workers", "1"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"next: python -m preprocessing.audio_embeddings --conf {sounds.conf} --frames"


def test_a_check_reads_all_splits(made, capsys):
    task = check_run(made.run(), thorough=True)
    assert sorted(task._splits) == ["development", "evaluation", "validation"]
    printed = capsys.readouterr().out
    assert "frames a clip" in printed
    assert printed.count("│") >= 3


def test_inputs_longer_than_the_context_are_refused_before_training(made):
    with pytest.raises(ConfigError) as error:
        made.run("generation.max_new_tokens=200").build()
    assert "'development' has" in str(error.value)
    assert "and a caption may have 200;" in str(error.value)
    assert "takes 128 together: choose an adapter of fewer tokens" in str(error.value)


def test_empty_captions_are_left_out_and_a_split_of_them_is_refused(made, capsys):
    data = made.run().data
    table = data.text_table("development")
    rows = read_text_table(table, "")
    write_text_table(table, [rows[0]._replace(raw_text="  "), *rows[1:]])
    assert len(made.run().build().data("train").captions) == 7
    assert "development: 1 captions are left out, which have no words" in capsys.readouterr().out
    write_text_table(table, [row._replace(raw_text="  ") for row in rows])
    with pytest.raises(ArtefactError, match="no clip has both frames and a caption with words"):
        made.run().build()


def test_a_language_model_without_weights_is_refused(made):
    (made.folder / "language" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.language_model\.name: .*language"):
        made.run().build()


def test_a_language_model_that_stage_1_makes_is_missing(made):
    with pytest.raises(ArtefactError, match=r"language_model: no such folder; write it: <make language-model>"):
        made.run(f"model.language_model.name={made.folder}/features/language_model").build()


@pytest.mark.parametrize(("seed", "size"), [(1, 32), (0, 48)], ids=["other weights", "another hidden size"])
def test_a_checkpoint_is_refused_with_another_language_model(made, capsys, seed, size):
    write_trial(made.run())
    shutil.rmtree(made.folder / "language")
    tiny_language.write_qwen3(made.folder / "language", seed=seed, hidden_size=size)
    with pytest.raises(SystemExit) as stop:
        captions.main(["--conf", made.conf])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert f"was trained with {made.folder / 'language'} in another state than it has now" in error
    assert "main.py" in error
    assert "--fresh" in error


def test_an_encoder_that_has_changed_is_refused(sounds):
    encoder = sounds.folder / "own"
    tiny_models.write_wav2vec2(encoder)
    settings = [f"data.audio_embeddings.model={encoder}"]
    with pytest.raises(ArtefactError, match=r"model is .*, this run wants .*own; write it again: <make audio-emb"):
        sounds.run(*settings).build()
    from preprocessing import audio_embeddings

    audio_embeddings.main(["--conf", sounds.conf, "--frames", "--workers", "1", "--set", settings[0]])
    check_run(sounds.run(*settings), thorough=False)
    shutil.rmtree(encoder)
    tiny_models.write_wav2vec2(encoder, seed=1)
    with pytest.raises(ArtefactError, match=r"own: is now .*, but the frames were made when it was"):
        check_run(sounds.run(*settings), thorough=False)


def test_least_squares_goes_through_the_loop_without_parameters(made):
    settings = ["model.adapter={name: LeastSquaresAdapter, tokens: 2}", "training.epochs=2"]
    first, second = reports_of(fit := fit_of(made.run(*settings)))
    assert not [p for p in fit.model.parameters() if p.requires_grad]
    assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-5)  # other batches, the same map
    assert first["val_loss"] == second["val_loss"]
    write_trial(made.run(*settings))
    captions.main(["--conf", made.conf, "--set", settings[0], "--set", settings[1]])


def test_systems_refuse_each_others_scripts(made, capsys):
    tiny.write_conf(made.folder, tiny.conf(made.folder))
    for main, conf, found in (
        (xmodal_scores.main, made.conf, "this script takes retrieval or clap_projection"),
        (captions.main, str(made.folder / "conf.yaml"), "this script takes captioning or captioning_images"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["--conf", conf])
        assert stop.value.code == 2
        assert found in capsys.readouterr().err


def test_the_two_yamls_differ_in_their_data_alone(tmp_path):
    runs = [parse_run(corpora.settings_of(tmp_path, kind), "x.yaml") for kind in ("sounds", "pictures")]
    assert runs[0].model == runs[1].model
    assert runs[0].training == runs[1].training
