"""The `data:` block of music: names of files, and keys that do not go together."""

import pytest

from utils.artefact_utils import ForeignFileError
from utils.cli_utils import ConfigError
from utils.config_utils import parse
from utils.data_utils import MusicDataSpec
from utils.data_utils.products import making


def data(folder, **changes):
    mapping = {"root": str(folder / "music"), "features": str(folder / "features"), **changes}
    return parse(mapping, MusicDataSpec, "x.yaml")


def test_a_block_without_further_keys_is_of_fmas_layout(tmp_path):
    spec = data(tmp_path)
    assert spec.splits.names() == ["training", "validation", "test"]
    assert (spec.subset, spec.table, spec.shares) == (None, None, (0.8, 0.1, 0.1))
    made = [spec.catalogue, spec.genre_tree, spec.similar_tracks, spec.audio_info, spec.rejected("test")]
    assert {path.parent for path in made} == {tmp_path / "features"}
    assert len({*made}) == len(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subset": "tiny"}, "subset: .*small"),
        ({"subset": "small", "table": "mine.csv"}, "subset belongs to FMA's tables, found it beside a table"),
        ({"shares": [0.5, 0.6, 0.1]}, "expected three positive shares that sum to 1"),
        ({"min_duration_s": -1}, "min_duration_s"),
    ],
)
def test_bad_keys_are_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        data(tmp_path, **changes)


@pytest.mark.parametrize("name", ["catalogue.csv", "genres.csv", "similar_tracks.csv"])
def test_tables_of_another_program_are_not_replaced(tmp_path, name):
    spec = data(tmp_path)
    spec.features.mkdir()
    (spec.features / name).write_text("genre_id,title\n1,Rock\n")
    with pytest.raises(ForeignFileError, match=f"{name}: is a file of another program"), making(spec, "tables"):
        pass
