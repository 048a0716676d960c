import json

import pytest
from pydantic import TypeAdapter

from tasks import experiment_of
from tests.training import run_of
from tests.utils.tune_utils.searches import search_for
from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import to_mapping
from utils.tune_utils import Distribution
from utils.tune_utils.draws import ray_domain, settings_of, trials_of

DRAWS = {
    "uniform": ([1, 3], lambda v: 1 <= v <= 3),
    "loguniform": ([1e-5, 1e-2], lambda v: 1e-5 <= v <= 1e-2),
    "randint": ([2, 5], lambda v: v in (2, 3, 4)),
    "quniform": ([0, 1, 0.25], lambda v: v in (0, 0.25, 0.5, 0.75, 1)),
    "qrandint": ([2, 8, 2], lambda v: v in (2, 4, 6, 8)),
    "qloguniform": ([0.1, 0.8, 0.1], lambda v: 0.1 <= v <= 0.8 and abs(v * 10 - round(v * 10)) < 1e-9),
    "choice": (["a", None], lambda v: v in ("a", None)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_what_ray_draws_lies_in_the_range(name, tmp_path):
    values, inside = DRAWS[name]
    search = search_for(tmp_path, {"optimizer.lr": {name: values}}, num_samples=50)
    drawn = [draw["optimizer.lr"] for draw in trials_of(search).values()]
    assert all(inside(value) for value in drawn)
    assert len(set(drawn)) > 1


def test_a_grid_is_gone_through_in_order_and_once_a_sample(tmp_path):
    search = search_for(
        tmp_path, {"optimizer.weight_decay": {"grid": [0.0, 0.1]}, "optimizer.lr": {"grid": [1.0, 2.0]}}, num_samples=2
    )
    trials = trials_of(search)
    assert list(trials) == [f"trial_{number:05d}" for number in range(8)]
    # those of the second sample repeat those of the first: other seeds
    points = [(draw["optimizer.lr"], draw["optimizer.weight_decay"]) for draw in trials.values()]
    assert sorted(points[:4]) == sorted(points[4:]) == [(1.0, 0.0), (1.0, 0.1), (2.0, 0.0), (2.0, 0.1)]
    assert [draw.get("training.seed") for draw in trials.values()] == [None] * 4 + [1] * 4


def test_without_a_search_every_trial_has_a_seed_of_its_own(tmp_path):
    search = search_for(tmp_path, {}, num_samples=3, seed=7)
    seeds = [settings_of(search, draw)["training"]["seed"] for draw in trials_of(search).values()]
    assert seeds == [7, 8, 9]
    largest = search_for(tmp_path / "largest", {}, num_samples=2, seed=2**63 - 1)
    assert [settings_of(largest, draw)["training"]["seed"] for draw in trials_of(largest).values()] == [2**63 - 1, 0]


def test_seeds_that_are_searched_are_left_alone(tmp_path):
    search = search_for(tmp_path, {"training.seed": {"grid": [5, 5]}})
    assert list(trials_of(search).values()) == [{"training.seed": 5}] * 2


def test_what_was_drawn_is_written_down_and_read_back(tmp_path):
    distributions = {"optimizer.lr": {"loguniform": [1e-5, 1e-1]}, "training.epochs": {"randint": [1, 9]}}
    search = search_for(tmp_path / "a", distributions, num_samples=4)
    trials = trials_of(search)
    assert json.loads((tmp_path / "a" / "trials.json").read_text())["trials"] == trials
    again = search_for(tmp_path / "b", distributions, num_samples=4)
    assert trials_of(again) == trials  # the seed decides
    other = search_for(tmp_path / "c", distributions, num_samples=4, seed=1)
    assert trials_of(other) != trials
    trials["trial_00002"]["optimizer.lr"] = 0.25
    write_json(tmp_path / "a" / "trials.json", {"format_version": 1, "trials": trials})
    assert trials_of(search) == trials  # the record counts


def test_a_trial_of_an_earlier_version_keeps_its_settings(tmp_path):
    search = search_for(tmp_path, {"optimizer.lr": {"uniform": [0, 1]}}, num_samples=3)
    write_json(tmp_path / "trial_00001" / "params.json", {"optimizer": {"lr": 0.123}, "training": {"seed": 0}})
    drawn = trials_of(search_for(tmp_path / "fresh", {"optimizer.lr": {"uniform": [0, 1]}}, num_samples=3))
    assert trials_of(search) == drawn | {"trial_00001": {"optimizer.lr": 0.123}}


def test_no_item_of_a_list_is_evaluated(tmp_path):
    """Ray takes a section such as {eval: TEXT} for Python."""
    path = tmp_path / "ran"
    code = {"eval": f"open({str(path)!r}, 'w')"}
    for name in ("grid", "choice"):
        search = search_for(tmp_path / name, {"data.splits": {name: [code]}})
        assert list(trials_of(search).values()) == [{"data.splits": code}]
    assert not path.exists()
    assert ray_domain(TypeAdapter(Distribution).validate_python({"grid": [code]})) == {"grid_search": [0]}


def test_keys_that_overlap_are_refused(tmp_path):
    search = search_for(tmp_path, {"optimizer.lr": {"grid": [1]}, "optimizer": {"grid": [{"lr": 2}]}})
    with pytest.raises(ConfigError, match=r"search: optimizer holds optimizer\.lr, which is searched as well"):
        trials_of(search)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("", "not the record of the trials"),
        ("[]", "not the record of the trials"),
        ('{"format_version": 1, "trials": {"trial_00000": 3}}', "not the record of the trials"),
        ("[" * 100_000, "not the record of the trials"),
        ('{"format_version": 9, "trials": {"trial_00000": {}}}', "format version 9, this program reads 1"),
        ('{"format_version": 1, "trials": {}}', "its trials are not trial_00000"),
        ('{"format_version": 1, "trials": {"../x": {"optimizer.lr": 1}}}', "its trials are not trial_00000"),
        ('{"format_version": 1, "trials": {"trial_00000": {"x": 1}}}', "trial_00000 draws \\['x'\\], the search"),
    ],
)
def test_a_broken_record_of_the_trials_is_told(held, message, tmp_path):
    (tmp_path / "trials.json").write_text(held)
    with pytest.raises(ArtefactError, match=rf"trials\.json: {message}.* --fresh"):
        trials_of(search_for(tmp_path, {"optimizer.lr": {"grid": [1]}}))


def test_settings_of_a_trial_parse_and_search_nothing(prepared):
    run = run_of(prepared, "search={optimizer.lr: {grid: [0.25]}}")
    search = experiment_of(run, run.build())
    expected = to_mapping(run)
    expected["optimizer"]["lr"] = 0.25
    assert settings_of(search, trials_of(search)["trial_00000"]) == expected | {"search": {}}
