"""Which index a number of embeddings gets."""

import pytest

from utils.cli_utils import UserError
from utils.index_utils import plan_index
from utils.index_utils.plans import IndexPlan


@pytest.mark.parametrize(
    ("clips", "width", "memory", "kind", "lists", "sub_width"),
    [
        (1, 300, 4e9, "flat", 0, 0),
        (50_000, 300, 4e9, "flat", 0, 0),
        (50_001, 300, 4e9, "ivf", 1024, 0),
        (10**6, 300, 4e9, "ivf", 4096, 0),  # 1.2 GB
        (10**6, 300, 1e9, "pq", 4096, 4),
        (10**7, 300, 4e9, "pq", 16384, 4),  # 0.85 GB
        (10**8, 300, 4e9, "pq", 32768, 16),  # 19 + 8 bytes a clip
        (50_000, 300, 6e6, "pq", 1024, 4),
        (50_000, 300, 3e6, "pq", 1024, 16),
        (200, 300, 1e9, "flat", 0, 0),
    ],
)
def test_the_rule(clips, width, memory, kind, lists, sub_width):
    assert plan_index(None, clips, width, memory) == IndexPlan(kind, clips, width, lists, sub_width)


def test_a_kind_that_was_chosen_is_taken_whatever_the_number():
    assert plan_index("hnsw", 10, 300, 4e9) == IndexPlan("hnsw", 10, 300)
    assert plan_index("flat", 10**6, 300, 4e9) == IndexPlan("flat", 10**6, 300)
    assert plan_index("ivf", 100, 300, 4e9) == IndexPlan("ivf", 100, 300, 2)  # 40 clips a list
    assert plan_index("pq", 300, 301, 4e9) == IndexPlan("pq", 300, 301, 7, 4)


def test_sizes_by_hand():
    assert IndexPlan("flat", 1000, 300).nbytes == 1_200_000
    assert IndexPlan("ivf", 1000, 300, 10).nbytes == 1_208_000 + 12_000
    assert IndexPlan("hnsw", 1000, 300).nbytes == 1_200_000 + 272_000
    odd = IndexPlan("pq", 1000, 301, 10, 4)
    assert (odd.padded_width, odd.code_bytes) == (304, 76)
    assert odd.nbytes == 1000 * (76 + 8) + 10 * 4 * 304 + 256 * 4 * 304


def test_efforts_double_up_to_all_lists():
    assert IndexPlan("flat", 1, 1).efforts == [0]
    assert IndexPlan("ivf", 1, 1, 100).efforts == [8, 16, 32, 64, 100]
    assert IndexPlan("pq", 1, 4, 5, 4).efforts == [5]
    assert IndexPlan("hnsw", 1, 1).efforts == [64, 128, 256, 512, 1024, 2048, 4096]


def test_what_cannot_be_built_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^--index pq: there are 255 clips, expected at least 256 to learn the codes"):
        plan_index("pq", 255, 300, 4e9)
    with pytest.raises(
        UserError,
        match=r"^--index-memory 4: an index of kind hnsw of 10000000 clips takes 15 GB; give that much, or take --ind",
    ):
        plan_index("hnsw", 10**7, 300, 4e9)
    with pytest.raises(
        UserError, match=r"^--index-memory 0\.001: an index of kind pq of 1000000 clips takes 0.02.* GB"
    ):
        plan_index(None, 10**6, 300, 1e6)
    with pytest.raises(UserError, match=r"an index of kind flat of 100 clips takes 0.00012 GB; give that much"):
        plan_index(None, 100, 300, 1000)
