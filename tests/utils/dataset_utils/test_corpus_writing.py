from __future__ import annotations

import pytest

from utils.cli_utils import UserError
from utils.dataset_utils.corpus_writing import share_out


@pytest.mark.parametrize(
    ("clips", "shares"), [(1550, (1200, 150, 200)), (3, (1, 1, 1)), (100_000, (77_420, 9_677, 12_903))]
)
def test_share_out_keeps_the_ratio(clips, shares):
    assert share_out(clips, "clips") == shares
    assert sum(share_out(clips, "clips")) == clips


def test_share_out_wants_one_clip_a_split():
    with pytest.raises(UserError, match="--clips 2: expected at least 3"):
        share_out(2, "clips")
