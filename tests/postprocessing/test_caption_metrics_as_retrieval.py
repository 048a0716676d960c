"""A captioner that finds clips, through the evaluator of retrieval: table, JSON, scores, and what is refused."""

import json

import numpy as np
import pytest

from postprocessing import caption_metrics
from tests.tasks.captioning.conftest import _corpora, made, sounds  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils import write_captions
from utils.artefact_utils.retrieval import ScoreReader

# the last epoch, not the best one: validation clips have other captions, which nothing can be learnt of
LAST = "checkpoint_000079"
BY_HEART = ["training.epochs=80", "training.sample_clips=0", "training.batch_size=8", "optimizer.lr=0.02"]
DIRECTIONS = ("text_to_audio", "audio_to_text")


def run(made, *arguments):  # noqa: F811
    caption_metrics.main(["--conf", made.conf, "--as-retrieval", *arguments])


def report_of(folder, split):
    return json.loads((folder / f"{split}_caption_retrieval.json").read_text(encoding="utf-8"))


def test_what_a_captioner_has_learnt_by_heart_finds_its_clip(made, capsys):  # noqa: F811
    """Of training clips each caption ranks its own first, and each clip its own caption."""
    trained = made.run(*BY_HEART)
    write_trial(trained)
    split = trained.data.splits.train
    run(made, "--split", "train", "--checkpoint", LAST)
    printed = capsys.readouterr().out
    report = report_of(trained.folder / "trial_00000", split)
    for direction in DIRECTIONS:
        assert report[direction]["R@1"] == 1.0
        assert (report[direction]["queries"], report[direction]["candidates"]) == (8, 8)
        assert report["chance"][direction]["R@1"] == pytest.approx(1 / 8)
        assert set(report["intervals"][direction]["bootstrap"]) >= {"R@1", "mAP@10"}
    assert report["left_out"] == {"clips": 0, "captions": 0}
    items = "audio" if made.kind == "sounds" else "pictures"
    assert f"Retrieval, text to {items}" in printed
    assert f"Retrieval, {items} to text" in printed
    assert "ranked: 8 of 8 clips" in printed
    following = f"-m postprocessing.captions --conf {made.conf} --checkpoint {LAST} --split train"
    assert printed.splitlines()[-1].endswith(following)


def test_some_clips_and_what_comes_next(made, capsys):  # noqa: F811
    trained = made.run()
    folder = write_trial(trained)
    write_captions(folder / f"{trained.data.splits.eval}_captions.csv", [])
    run(made, "--clips", "3")
    printed = capsys.readouterr().out
    split = trained.data.splits.eval
    report = report_of(trained.folder, split)
    assert report == report_of(folder, split)
    assert report["text_to_audio"]["candidates"] == 3
    assert report["left_out"] == {"clips": 1, "captions": 1}
    assert "ranked: 3 of 4 clips" in printed
    assert "left out of all numbers: 3 evenly spaced ones of 4 are ranked" in printed
    assert printed.splitlines()[-1].endswith(f"-m postprocessing.caption_metrics --conf {made.conf}")
    data = trained.build("eval").data("eval")
    with ScoreReader(folder / f"{split}_caption_scores.hdf5", "") as reader:
        assert reader.fids == [data.clips[row].fid for row in (0, 1, 3)]
        assert reader.left_out() == {data.clips[2].fid}
        (block,) = (np.array(block) for _, block in reader.text_to_audio().blocks())
    assert block.shape == (3, 3)
    # calibrated: over the clips, the likelihood of each caption is 1 on average
    np.testing.assert_allclose(np.exp(block).mean(1), 1.0, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other.csv", "--as-retrieval"], "--as-retrieval: does not go with FILE; leave one of them out"),
        (["--as-retrieval", "--shown", "3"], "--as-retrieval: does not go with --shown; leave one of them out"),
        (
            ["--as-retrieval", "--bert-model", "x", "--bert-layers", "1"],
            "--as-retrieval: does not go with --bert-model, --bert-layers; leave one of them out",
        ),
        (["--clips", "1", "--as-retrieval"], "--clips: found 1, expected at least 2"),
        (["--clips", "3", "--trials"], "--clips: goes with --as-retrieval alone; add it, or leave --clips out"),
        (["--trials", "--as-retrieval"], "--trials: does not go with --as-retrieval; leave one of them out"),
        (["--as-retrieval"], "does not exist; train first"),
    ],
)
def test_what_does_not_go_together_is_one_line(sounds, arguments, message, capsys):  # noqa: F811
    with pytest.raises(SystemExit) as stop:
        caption_metrics.main(["--conf", sounds.conf, *arguments])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line


def test_a_run_of_another_system_has_no_likelihoods(prepared, capsys):
    with pytest.raises(SystemExit) as stop:
        caption_metrics.main(["--conf", str(prepared / "conf.yaml"), "--as-retrieval"])
    assert stop.value.code == 2
    assert "task is retrieval, this script takes captioning or captioning_images" in capsys.readouterr().err
