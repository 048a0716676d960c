import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.utils.tune_utils.searches import search_for
from utils.tune_utils.callbacks import Recorder
from utils.tune_utils.early_stopping import EarlyStopping
from utils.tune_utils.results import Results

DRAW = {"optimizer.lr": 0.25, "data.splits": {"eval": "test"}, "training.seed": 3}


def measured(epoch):
    return {"epoch": float(epoch), "train_loss": 1.0, "val_loss": 1 / epoch, "epoch_s": 0.1}


def recorder_of(search, trials):
    stopping = EarlyStopping(search.ray, search.training, search.training.epochs)
    return Recorder(search, trials, Results(search.folder), stopping)


def record(folder, draw, epochs):
    """The events of a trial whose driver was killed after the first of its epochs."""
    search = search_for(folder, {})
    (folder / "trial_00000").mkdir(exist_ok=True)
    for epoch in epochs:
        recorder = recorder_of(search, {"trial_00000": draw})
        recorder.start("trial_00000")
        recorder.report("trial_00000", measured(epoch))
        recorder.close("trial_00000")
    events = EventAccumulator(str(folder / "trial_00000"))
    events.Reload()
    return events


def test_tensorboard_has_a_curve_of_each_metric_through_a_resume(tmp_path):
    events = record(tmp_path, DRAW, [1, 2])
    assert [(event.step, event.value) for event in events.Scalars("val_loss")] == [(1, 1.0), (2, 0.5)]
    assert set(events.Tags()["scalars"]) == set(measured(1))


def test_tensorboard_shows_what_a_trial_has_drawn_beside_its_metric(tmp_path):
    hparams = record(tmp_path, DRAW, [1]).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    drawn = plugin_data_pb2.HParamsPluginData.FromString(hparams).session_start_info.hparams
    assert {key: value.number_value or json.loads(value.string_value) for key, value in drawn.items()} == DRAW


def test_a_trial_that_draws_nothing_has_no_such_table(tmp_path):
    assert "_hparams_/experiment" not in record(tmp_path, {}, [1]).summary_metadata
