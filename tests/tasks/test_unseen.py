"""A trial is not measured on what trained it: what is noted of it, and what is refused."""

import pytest

from tasks import check_run, experiment_of
from tests.training import run_of, trained_run, write_trial
from utils.artefact_utils import read_clips, write_audio_info, write_json
from utils.cli_utils import ArtefactError, UserError
from utils.data_utils.recordings import recordings_of
from utils.tune_utils import read_trained_on
from utils.tune_utils.folder import prepare_folder


@pytest.fixture
def trained(prepared):
    """One trial, in a folder as the launcher prepares it."""
    run = run_of(prepared)
    prepare_folder(experiment_of(run, check_run(run, thorough=False)), resume=False)
    write_trial(run)
    return prepared


def clips_of(folder):
    data = run_of(folder).data
    return {split: read_clips(data.audio_info, split, "") for split in data.splits.names()}


def load(folder, *arguments):
    return trained_run(["--conf", str(folder / "conf.yaml"), *arguments])


def test_the_launcher_notes_what_training_alone_has(trained):
    run, clips = run_of(trained), clips_of(trained)
    assert read_trained_on(run.folder) == frozenset(recordings_of(clips["development"]))
    shared = clips["development"][0]
    clips["evaluation"].append(shared._replace(fid="published", fname="again.wav"))  # as data sets come
    write_audio_info(run.data.audio_info, clips, {})
    found = experiment_of(run, check_run(run, thorough=False)).trained_on
    assert read_trained_on(run.folder) - found == frozenset(recordings_of([shared]))


def test_a_table_without_an_evaluation_split_can_be_trained_on(trained):
    run, clips = run_of(trained), clips_of(trained)
    del clips["evaluation"]
    write_audio_info(run.data.audio_info, clips, {})
    assert experiment_of(run, check_run(run, thorough=False)).trained_on == read_trained_on(run.folder)


def test_a_split_that_holds_what_trained_it_is_refused(trained):
    folder, clips = run_of(trained).folder, clips_of(trained)
    seen = clips["evaluation"][1]
    write_json(folder / "trained_on.json", {"recordings": list(recordings_of([seen]))})
    count = f"1 of the {len(clips['evaluation'])} recordings of 'evaluation', such as {seen.fname}"
    pattern = rf"audio_info\.pkl: {count}, trained .*trial_00000, .*<make tables>, or leave .* train again: .*--fresh"
    with pytest.raises(ArtefactError, match=pattern):
        load(trained).task()
    load(trained).task(measures=False)
    load(trained, "--split", "validation").task()


def test_the_training_split_is_measured_on_purpose(trained, capsys):
    load(trained, "--split", "train").task()
    assert "recordings of 'development' trained trial_00000: its numbers on them say" in capsys.readouterr().out
    load(trained).task()
    assert "trained trial" not in capsys.readouterr().out


def test_a_trial_of_an_earlier_version_is_measured(trained, capsys):
    (run_of(trained).folder / "trained_on.json").unlink()
    load(trained, "--split", "train").task()
    assert "trained trial" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{}", '{"recordings": 3}', '{"recordings": [3]}'])
def test_a_broken_note_is_named(text, trained):
    (run_of(trained).folder / "trained_on.json").write_text(text)
    with pytest.raises(UserError, match=r"trained_on\.json: does not name the recordings of .*<make training --fresh>"):
        load(trained).task()


def test_a_resumed_experiment_of_an_earlier_version_notes_it(trained):
    run = run_of(trained)
    note = run.folder / "trained_on.json"
    before = note.read_text()
    note.unlink()
    prepare_folder(experiment_of(run, check_run(run, thorough=False)), resume=True)
    assert note.read_text() == before
