"""Zero-shot classification: embeddings by every kind of run, numbers by hand, files, filters and what is refused."""

import csv
import json

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from postprocessing import zero_shot
from tests import tiny
from tests.postprocessing.commands import error_of, run
from tests.training import run_of, write_trial
from utils.model_utils import read_checkpoint
from utils.text_utils.prompts import DEFAULT_TEMPLATES

LABELS = ["dog_bark", "rain", "bell"]
NAMES = [f"development {n}.wav" for n in range(8)] + [f"evaluation {n}.wav" for n in range(4)]


def write_esc(folder, labels=LABELS):
    """The clips of the tiny corpus in ESC's layout; returns its folder."""
    root = folder / "esc"
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    rows = []
    for number, name in enumerate(NAMES):
        (root / "audio" / name).symlink_to(folder / "corpus" / name.split()[0] / name)
        target = number % len(labels)
        rows.append([name, number % 2 + 1, 10 - target, labels[target], target < 2, f"s{number // 2}", "A"])
    with (root / "meta" / "esc50.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["filename", "fold", "target", "category", "esc10", "src_file", "take"], *rows])
    return root


def write_plain(folder, rows, name="plain.csv"):
    with (folder / name).open("w", newline="") as stream:
        csv.writer(stream).writerows([["file_name", "label"], *rows])
    return folder / name


def report_of(folder, name="esc50", experiment="tiny"):
    return json.loads((folder / "runs" / experiment / f"{name}_zero_shot.json").read_text())


def rows_of(folder, name="esc50", experiment="tiny"):
    with (folder / "runs" / experiment / f"{name}_zero_shot.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["file_name", "label", "predicted", "score", "rank"]
    return rows


@pytest.fixture
def esc(trained):
    """A trained run, and the clips in ESC's layout beside it."""
    return write_esc(trained)


@pytest.fixture
def clap(prepared):
    """A trained projection of the vectors of another program."""
    tiny.write_vectors(prepared / "vectors.npz")
    tiny.write_conf(prepared, tiny.clap_conf(prepared))
    write_trial(run_of(prepared))
    return prepared


def task_of(folder, experiment="tiny"):
    """The task with the weights that the command takes: those of the best checkpoint."""
    task = run_of(folder).build("eval")
    report = json.loads(next((folder / "runs" / experiment).glob("*_zero_shot.json")).read_text())
    checkpoint = report["made_from"]["checkpoint"].split(" ")[0]
    task.model().load_state_dict(read_checkpoint(folder / "runs" / experiment / checkpoint)["model"])
    task.model().eval()
    return task


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def expected_scores(task, audio, labels, templates):
    """Cosine of clips and labels, written out."""
    classes = []
    for label in labels:
        prompts = [template.replace("{label}", label.replace("_", " ")) for template in templates]
        classes.append(unit(unit(np.stack([task.embedder.texts([prompt])[0] for prompt in prompts])).mean(0)))
    return unit(audio) @ np.stack(classes).T


def check_rows(rows, scores, labels, names, right):
    """The table says what the scores say."""
    assert [row[0] for row in rows] == names
    for row, values, own in zip(rows, scores, right, strict=True):
        best = int(values.argmax())
        assert row[1:3] == [labels[own], labels[best]]
        assert float(row[3]) == pytest.approx(values[best], abs=1e-4)
        assert int(row[4]) == 1 + (values > values[own]).sum()


@pytest.mark.parametrize("templates", [[], ["{label} barks", "a loud {label}"]])
def test_a_run_on_log_mels_by_hand(templates, trained, esc, capsys):
    arguments = ["--template", *templates] if templates else []
    result = run(zero_shot.main, capsys, trained, "--labels", str(esc), *arguments)
    assert result.code == 0
    task, labels = task_of(trained), ["bell", "rain", "dog_bark"]  # in the order of the targets
    with torch.inference_mode():
        audio = task.embedder.sounds([esc / "audio" / name for name in NAMES], 1, lambda done: None).embeddings
        scores = expected_scores(task, audio, labels, templates or DEFAULT_TEMPLATES)
    right = [2 - number % 3 for number in range(12)]
    check_rows(rows_of(trained), scores, labels, NAMES, right)
    report = report_of(trained)
    assert report["leading"] == "accuracy"
    assert report["metrics"]["accuracy"] == pytest.approx((scores.argmax(1) == right).mean())
    assert report["chance"]["accuracy"] == pytest.approx(1 / 3)
    assert report["templates"] == (templates or list(DEFAULT_TEMPLATES))
    assert list(report["classes"]) == labels
    assert [found["clips"] for found in report["classes"].values()] == [4, 4, 4]
    assert (report["clips"], report["recordings"], report["left_out"]) == (12, 6, {})
    assert set(report["intervals"]["bootstrap"]) == set(report["metrics"])
    assert report["made_from"]["labels"].endswith("esc50.csv")
    assert "12 clips of 6 recordings, 3 labels" in result.out
    assert f"{report['metrics']['mAP']:.4f}" in result.out


def test_files_lie_in_the_trial_and_beside_it(trained, esc, capsys):
    result = run(zero_shot.main, capsys, trained, "--labels", str(esc / "meta" / "esc50.csv"))
    for name in ("esc50_zero_shot.json", "esc50_zero_shot.csv", "esc50_zero_shot_confusion.png"):
        public = trained / "runs" / "tiny" / name
        assert public.read_bytes() == (trained / "runs" / "tiny" / "trial_00000" / name).read_bytes()
        assert f"wrote {public}" in result.out
    assert Image.open(public).size[0] > 300
    assert "next: python -m postprocessing.search --conf" in result.out.splitlines()[-1]
    assert result.out.splitlines()[-1].split("'")[1].startswith("This is a sound of ")


def test_vectors_of_another_program_by_hand(clap, capsys):
    names = NAMES[8:]
    table = write_plain(clap, [[name, LABELS[n % 3]] for n, name in enumerate(names)])
    vectors = clap / "vectors.npz"
    assert run(zero_shot.main, capsys, clap, "--labels", str(table), "--embeddings", str(vectors)).code == 0
    task, labels = task_of(clap, "tiny-clap"), sorted(LABELS)
    with np.load(vectors) as file, torch.inference_mode():
        audio = np.stack([task.embedder.features(file[name][None]) for name in names])
        scores = expected_scores(task, audio, labels, DEFAULT_TEMPLATES)
    right = [labels.index(LABELS[n % 3]) for n in range(4)]
    check_rows(rows_of(clap, "plain", "tiny-clap"), scores, labels, names, right)
    assert report_of(clap, "plain", "tiny-clap")["made_from"]["audio"] == str(vectors)


def test_several_labels_a_clip_lead_with_map(clap, capsys):
    rows = [["evaluation 0.wav", "dog;rain"], ["evaluation 1.wav", "bell"], ["evaluation 2.wav", "rain"]]
    arguments = ["--labels", str(write_plain(clap, rows)), "--embeddings", str(clap / "vectors.npz")]
    result = run(zero_shot.main, capsys, clap, *arguments)
    report = report_of(clap, "plain", "tiny-clap")
    assert report["leading"] == "mAP"
    assert list(report["metrics"]) == ["hit@1", "mAP"]
    assert result.out.index("│ mAP") < result.out.index("│ hit@1")
    assert rows_of(clap, "plain", "tiny-clap")[0][1] == "dog;rain"
    assert not list((clap / "runs").rglob("*.png"))
    assert report["chance"]["hit@1"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3)


def test_the_label_set_in_another_order_gives_the_same(trained, esc, capsys):
    found = []
    for number, order in enumerate((LABELS, LABELS[::-1], [LABELS[1], LABELS[0], LABELS[2]])):
        classes = trained / f"classes{number}.txt"
        classes.write_text("\n".join(order) + "\n")
        arguments = ["--labels", str(esc), "--classes", str(classes), "--name", f"n{number}"]
        assert run(zero_shot.main, capsys, trained, *arguments).code == 0
        report = report_of(trained, f"n{number}")
        assert list(report["classes"]) == order
        found.append((report["metrics"], rows_of(trained, f"n{number}"), sorted(report["classes"].items())))
    assert found[1][0] == pytest.approx(found[0][0])
    assert found[1][1:] == found[0][1:] == found[2][1:]


def test_missing_and_broken_clips_are_listed_and_not_fatal(trained, esc, capsys):
    (esc / "audio" / NAMES[1]).unlink()
    (esc / "audio" / NAMES[5]).unlink()
    (esc / "audio" / NAMES[5]).write_text("no sound")
    (esc / "audio" / NAMES[7]).unlink()
    soundfile.write(esc / "audio" / NAMES[7], np.zeros(0), 44_100)
    result = run(zero_shot.main, capsys, trained, "--labels", str(esc))
    assert result.code == 0
    audio = esc / "audio"
    first = f"3 of 12 clips are left out, all listed in the JSON; the first: {NAMES[1]} is not in {audio}"
    assert first in result.out
    left_out = report_of(trained)["left_out"]
    assert list(left_out) == [NAMES[1], NAMES[5], NAMES[7]]
    assert "cannot be decoded" in left_out[NAMES[5]]
    assert left_out[NAMES[7]] == "holds no samples"
    assert len(rows_of(trained)) == report_of(trained)["clips"] == 9


def test_a_label_that_loses_its_clips_stays_a_candidate(trained, esc, capsys):
    for number, name in enumerate(NAMES):
        if number % 3 == 1:
            (esc / "audio" / name).unlink()
    result = run(zero_shot.main, capsys, trained, "--labels", str(esc))
    assert "1 of 3 labels have no clip, and no part in means over classes: rain" in result.out
    report = report_of(trained)
    assert report["classes"]["rain"] == {"clips": 0, "accuracy": None, "AP": None}
    assert report["chance"]["accuracy"] == pytest.approx(1 / 3)


def test_vectors_that_are_missing_are_listed(clap, capsys):
    rows = [["evaluation 0.wav", "dog"], ["gone.wav", "rain"], ["evaluation 1.wav", "rain"]]
    arguments = ["--labels", str(write_plain(clap, rows)), "--embeddings", str(clap / "vectors.npz")]
    assert run(zero_shot.main, capsys, clap, *arguments).code == 0
    report = report_of(clap, "plain", "tiny-clap")
    assert report["left_out"] == {"gone.wav": f"is not in {clap / 'vectors.npz'}"}
    assert report["clips"] == 2


def test_one_recording_has_no_interval(clap, capsys):
    table = clap / "one.csv"
    table.write_text("file_name,label,src_file\nevaluation 0.wav,dog,a\nevaluation 1.wav,rain,a\n")
    result = run(zero_shot.main, capsys, clap, "--labels", str(table), "--embeddings", str(clap / "vectors.npz"))
    assert result.code == 0
    assert report_of(clap, "one", "tiny-clap")["intervals"]["bootstrap"] == {}


@pytest.mark.parametrize(
    ("arguments", "clips"),
    [
        (["--folds", "2"], [1, 3, 5, 7, 9, 11]),
        (["--folds", "1", "2"], list(range(12))),
        (["--only-esc10"], [n for n in range(12) if n % 3 < 2]),
        (["--where", "fold=1", "--where", "category=rain", "--where", "category=bell"], [2, 4, 8, 10]),
    ],
)
def test_filters(arguments, clips, trained, esc, capsys):
    assert run(zero_shot.main, capsys, trained, "--labels", str(esc), *arguments).code == 0
    assert [row[0] for row in rows_of(trained)] == [NAMES[n] for n in clips]
    assert report_of(trained)["made_from"]["where"] != {}


def test_notes_on_the_table_are_printed(trained, esc, capsys):
    path = esc / "meta" / "esc50.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    assert "esc50.csv: 1 rows repeat a clip" in run(zero_shot.main, capsys, trained, "--labels", str(esc)).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "fold"], "--where fold: expected COLUMN=VALUE, such as fold=1"),
        (["--where", "fould=1"], "has no column 'fould' to choose by, only filename, fold, target"),
        (["--folds", "7"], "no row has fold = 7; found 1, 2; choose one"),
        (["--where", "category=rain"], "all clips are rain; expected two labels or more to choose among"),
        (["--template", "a sound"], "--template: template 'a sound' has no {label}; write {label} where"),
        (["--templates", "none.txt"], "--templates none.txt: no such file; name a text file with one template a line"),
        (["--classes", "none.txt"], "none.txt: no such file"),
        (["--name", "a/b"], "--name: found 'a/b', expected a plain name, without slashes"),
        (["--audio", "nowhere"], "--audio: folder nowhere does not exist; name the folder of the clips"),
        (
            ["--embeddings", "x.npz"],
            "--embeddings: the run's audio encoder takes a logmel, not vectors; give --audio FOLD",
        ),
        (
            ["--audio", "{corpus}"],
            "none of the 12 clips can be embedded: development 0.wav is not in {corpus}; correct",
        ),
        (["--trial", "x"], "trial 'x' does not exist; choices: trial_00000"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(arguments, message, trained, esc, capsys):
    corpus = str(trained / "corpus")  # holds folders, no clips
    given = [argument.replace("{corpus}", corpus) for argument in arguments]
    assert message.replace("{corpus}", corpus) in error_of(
        run(zero_shot.main, capsys, trained, "--labels", str(esc), *given)
    )
    assert not list((trained / "runs").rglob("*zero_shot*"))


def test_labels_that_read_the_same_are_refused(trained, capsys):
    table = write_plain(trained, [["a.wav", "dog_bark"], ["b.wav", "dog bark"]])
    message = error_of(run(zero_shot.main, capsys, trained, "--labels", str(table), "--audio", str(trained)))
    assert message == f"{table}: 'dog bark' and 'dog_bark' read the same in a prompt; rename one"


def test_a_plain_table_needs_a_folder(trained, capsys):
    table = write_plain(trained, [["a.wav", "dog"], ["b.wav", "cat"]])
    message = error_of(run(zero_shot.main, capsys, trained, "--labels", str(table)))
    assert message == "--audio: name the folder of the clips; only ESC's layout, audio/ beside meta/, has a default"


def test_a_run_on_vectors_of_another_program_asks_for_them(clap, capsys):
    table = write_plain(clap, [["evaluation 0.wav", "dog"], ["evaluation 1.wav", "cat"]])
    message = error_of(
        run(zero_shot.main, capsys, clap, "--labels", str(table), "--audio", str(clap / "corpus" / "evaluation"))
    )
    assert f"the run's audio vectors come from {clap / 'vectors.npz'}, and the encoder that made them is not" in message
    assert message.endswith("give the vectors of these clips, made by the same program, with --embeddings FILE")


def test_vectors_that_do_not_fit_are_refused(clap, capsys):
    table = write_plain(clap, [["evaluation 0.wav", "dog"], ["evaluation 1.wav", "cat"]])
    other = clap / "other.npz"
    repair = "name a file with the vectors of these clips with --embeddings"
    for name, vectors, message in [
        (
            "width",
            {f"evaluation {n}.wav": np.ones(7, np.float32) for n in range(2)},
            "vectors of 7 dimensions, the run",
        ),
        ("names", {"x": np.ones(6, np.float32)}, "no key fits a clip of split 'evaluation': found 'x'"),
        ("nan", {f"evaluation {n}.wav": np.full(6, np.nan, np.float32) for n in range(2)}, "holds NaN or infinite"),
    ]:
        np.savez(other, **vectors)
        found = error_of(run(zero_shot.main, capsys, clap, "--labels", str(table), "--embeddings", str(other)))
        assert message in found, name
        assert found.startswith(f"{other}: ")
        assert found.endswith(repair)
    missing = error_of(run(zero_shot.main, capsys, clap, "--labels", str(table), "--embeddings", "none.npz"))
    assert missing == f"none.npz: no such file; {repair}"


def test_an_embedding_that_is_not_finite_is_named(trained, esc, capsys, monkeypatch):
    monkeypatch.setattr(
        zero_shot, "class_vectors", lambda embedder, labels, templates: np.full((3, 8), np.nan, np.float32)
    )
    message = error_of(run(zero_shot.main, capsys, trained, "--labels", str(esc)))
    assert "the embedding of 'bell' holds nan; choose another one with --checkpoint, or train again" in message


def test_class_vectors_are_unit_means_of_unit_prompts():
    class Stub:
        def texts(self, texts):
            assert texts == ["x a b", "y a b", "x c", "y c"]
            return np.array([[3.0, 0], [0, 0.5], [2, 0], [4, 0]], np.float32)

    found = zero_shot.class_vectors(Stub(), ["a_b", "c"], ["x {label}", "y {label}"])
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [1, 0]], atol=1e-6)
