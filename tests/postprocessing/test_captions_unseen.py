"""A captioner, of sounds or pictures, is not measured on what trained it, in whatever way it is measured."""

import json

import pytest

from postprocessing import caption_metrics, captions
from tasks import check_run, experiment_of
from tests.tasks.captioning.conftest import _corpora, made  # noqa: F401 - fixtures
from tests.training import write_trial
from utils.artefact_utils import read_clips, write_json
from utils.data_utils.recordings import recordings_of
from utils.tune_utils import read_trained_on
from utils.tune_utils.folder import prepare_folder


@pytest.fixture
def captioned(made):  # noqa: F811
    """A trial whose captions are written; then an experiment that has trained on one of the evaluation split."""
    run = made.run("training.epochs=1", "training.sample_clips=0")
    prepare_folder(experiment_of(run, check_run(run, thorough=False)), resume=False)
    known = {split: recordings_of(read_clips(run.data.clip_info, split, "")) for split in run.data.splits.names()}
    assert read_trained_on(run.folder) == frozenset(known["development"])
    folder = write_trial(run)
    for path in folder.glob("checkpoint_*/checkpoint.json"):  # as the launcher notes it
        (folder / "result.json").write_text(json.dumps(json.loads(path.read_text())["metrics"]) + "\n")
    captions.main(["--conf", made.conf])
    write_json(run.folder / "trained_on.json", {"recordings": sorted(known["evaluation"])[:1]})
    return made


def test_it_is_refused(captioned, capsys):
    info = captioned.run().data.clip_info
    count = len(read_clips(info, "evaluation", ""))
    for script, *arguments in (
        [captions],
        [caption_metrics],
        [caption_metrics, "--as-retrieval"],
        [caption_metrics, "--trials"],
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            script.main(["--conf", captioned.conf, *arguments])
        error = capsys.readouterr().err
        assert stop.value.code == 2
        assert f"{info}: 1 of the {count} recordings of 'evaluation', such as " in error, arguments
        assert f"main.py --conf {captioned.conf} --fresh" in error
