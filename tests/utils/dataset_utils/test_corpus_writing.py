from __future__ import annotations

import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import share_evenly, share_out


@pytest.mark.parametrize(
    ("clips", "shares"), [(1550, (1200, 150, 200)), (3, (1, 1, 1)), (100_000, (77_420, 9_677, 12_903))]
)
def test_share_out_keeps_the_ratio(clips, shares):
    assert share_out(clips, "clips") == shares
    assert sum(share_out(clips, "clips")) == clips


def test_share_out_wants_one_clip_a_split():
    with pytest.raises(UserError, match="--clips 2: expected at least 3"):
        share_out(2, "clips")


@pytest.mark.parametrize(("clips", "shares"), [(9, [3, 3, 3]), (10, [4, 3, 3]), (11, [4, 4, 3]), (300, [100] * 3)])
def test_even_shares_differ_by_one_at_most(clips, shares):
    assert list(share_evenly(clips, "clips", "abc").values()) == shares


def test_even_shares_want_one_clip_a_split_of_each_category():
    with pytest.raises(UserError, match="--clips 8: expected at least 9, 3 of each of 3 categories"):
        share_evenly(8, "clips", "abc")
