import pytest
from pydantic import TypeAdapter, ValidationError

from utils.cli_utils import UserError
from utils.tune_utils import Machine, RaySpec, check_resources, trial_device, with_gpus
from utils.tune_utils.resources import fits, trials_at_a_time


def ray(**keys):
    return TypeAdapter(RaySpec).validate_python(keys)


@pytest.mark.parametrize("gpus", [0, 0.25, 1, 2])
def test_parts_of_one_gpu_and_whole_ones_are_taken(gpus):
    assert ray(gpus_per_trial=gpus).gpus_per_trial == gpus


@pytest.mark.parametrize(
    ("keys", "machines", "message"),
    [
        ({"cpus_per_trial": 5}, [(4, 0)], "ray.cpus_per_trial: 5, but there are 4; lower it, or join a cluster"),
        # three machines have 12 processors together, and none has 5
        ({"cpus_per_trial": 5}, [(4, 0)] * 3, "ray.cpus_per_trial: 5, but there are 4 on any one of 3 machines"),
        ({"gpus_per_trial": 2}, [(4, 1), (4, 1)], "ray.gpus_per_trial: 2, but there are 1 on any one of 2 machines"),
        (
            {"cpus_per_trial": 8, "gpus_per_trial": 1},
            [(8, 0), (4, 1)],
            "ray.cpus_per_trial: 8 and ray.gpus_per_trial: 1, but no one of 2 machines has both",
        ),
        ({}, [], "ray.cpus_per_trial: 1, but there are 0"),
    ],
)
def test_a_trial_has_to_fit_on_one_machine(keys, machines, message):
    with pytest.raises(UserError) as caught:
        check_resources(ray(**keys), [Machine(*machine) for machine in machines])
    assert message in str(caught.value)


def test_a_trial_that_fits_on_one_machine_is_taken():
    check_resources(ray(cpus_per_trial=4, gpus_per_trial=0.5), [Machine(2, 1), Machine(8, 1)])


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [("auto", 0, "cpu"), ("auto", 0.5, "auto"), ("auto", 1, "auto"), ("cuda", 1, "cuda"), ("cpu", 1, "cpu")],
)
def test_auto_is_the_cpu_for_a_trial_without_a_gpu(device, gpus, expected):
    assert trial_device(device, ray(gpus_per_trial=gpus)) == expected


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"workers_per_trial": 2, "gpus_per_trial": 0.5}, "gpus_per_trial: 0.5, but a rank of workers_per_trial: 2"),
        ({"workers_per_trial": 2, "gpus_per_trial": 2}, "computes on one GPU of its own; use auto, 1 or 0"),
        ({"workers_per_trial": 0}, "greater than or equal to 1"),
        ({"gpus_per_trial": "all"}, "'auto'"),
        ({"gpus_per_trial": -1}, "greater than or equal to 0"),
        ({"max_failures": -1}, "greater than or equal to 0"),
        ({"search_alg": "grid"}, "'random' or 'optuna'"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        ray(**keys)


@pytest.mark.parametrize(
    ("given", "device", "machines", "expected"),
    [
        ("auto", "auto", [(4, 0)], 0),
        ("auto", "auto", [(4, 2)], 1),
        ("auto", "cuda", [(4, 0), (4, 1)], 1),
        ("auto", "cpu", [(4, 2)], 0),
        (0, "auto", [(4, 2)], 0),
        (0.5, "auto", [(4, 2)], 0.5),
    ],
)
def test_auto_is_a_gpu_where_there_is_one(given, device, machines, expected):
    spec = with_gpus(ray(gpus_per_trial=given), device, [Machine(*machine) for machine in machines])
    assert spec.gpus_per_trial == spec.gpus == expected
    assert spec.model_copy(update={"gpus_per_trial": given}) == ray(gpus_per_trial=given)


@pytest.mark.parametrize(
    ("keys", "machines", "room"),
    [
        # 1 on the first, 2 on the second; 7 processors together would be 3 ranks of 2 and one more
        ({"workers_per_trial": 4, "cpus_per_trial": 2}, [(3, 0), (4, 0)], 3),
        ({"workers_per_trial": 3, "gpus_per_trial": 1}, [(8, 1), (1, 4)], 2),
    ],
)
def test_ranks_that_the_machines_cannot_hold_together_are_refused(keys, machines, room):
    wanted = keys["workers_per_trial"]
    machines = [Machine(*machine) for machine in machines]
    with pytest.raises(UserError, match=rf"ray.workers_per_trial: {wanted} ranks, .* but there is room for {room}; "):
        check_resources(ray(**keys), machines)
    fitting = ray(**keys | {"workers_per_trial": room})
    check_resources(fitting, machines)
    assert trials_at_a_time(fitting, machines) == 1


@pytest.mark.parametrize(
    ("keys", "machines", "trials"),
    [
        ({}, [(2, 0), (3, 0)], 5),
        ({"workers_per_trial": 2}, [(2, 0), (3, 0)], 2),
        ({"max_concurrent": 3}, [(8, 0)], 3),
        ({"max_concurrent": 30}, [(8, 0)], 8),
        ({"gpus_per_trial": 0.1}, [(20, 0.3)], 3),
        ({"gpus_per_trial": 1}, [(20, 2), (20, 0)], 2),
    ],
)
def test_how_many_trials_run_at_a_time(keys, machines, trials):
    assert trials_at_a_time(ray(**keys), [Machine(*machine) for machine in machines]) == trials


def test_which_machines_may_run_a_rank():
    spec = ray(workers_per_trial=2, cpus_per_trial=2, gpus_per_trial=1)
    assert [fits(spec, Machine(*machine)) for machine in ((2, 1), (1, 1), (8, 0))] == [True, False, False]
