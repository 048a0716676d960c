"""Pictures in a YAML, and the frames that are theirs: of this encoder, these layers, patches or one vector."""

import numpy as np
import pytest

from utils.artefact_utils import Clip, EmbeddingParts, EmbeddingSettings, ForeignFileError, read_frames
from utils.artefact_utils.audio_embeddings import IMAGE_POOLINGS
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import parse
from utils.data_utils import ImageDataSpec
from utils.data_utils.clip_features import FrameFeatures
from utils.data_utils.products import making, products_of

SETTINGS = EmbeddingSettings("frames", "some/clip", "sha256:1", None, "patches", "224 pixels", "fp32", "float16")
FRAMES = {name: np.arange(6, dtype=np.float32).reshape(3, 2) + number for number, name in enumerate("ab")}
MAKE = "<make image-embeddings>"


def data(folder, **changes):
    mapping = {
        "root": str(folder / "pictures"),
        "features": str(folder / "features"),
        "image_embeddings": {"model": "some/clip"} | changes,
    }
    return parse(mapping, ImageDataSpec, "x.yaml")


def write(path, frames, settings=SETTINGS):
    parts = EmbeddingParts(path, settings)
    parts.write_part([*frames], ((fid, iter([array])) for fid, array in frames.items()))
    parts.finish([*frames], {"c": "is truncated"}, "made")
    return parts.path


def test_frames_are_found_by_what_made_them(tmp_path):
    spec = data(tmp_path)
    path = write(spec.image_frames("val"), FRAMES)
    pooled = {name: array[:1] for name, array in FRAMES.items()}
    beside = write(spec.image_frames("val"), pooled, SETTINGS._replace(pooling="pooled"))
    assert path.name == "val_image_frames.hdf5"
    assert beside != path
    table = read_frames(spec.frames_source("val"), ["b", "c", "a"])
    assert (table.path, table.lengths.tolist(), table.width) == (path, [3, 3], 2)
    assert (table.held.tolist(), table.left_out) == ([True, False, True], {"c": "is truncated"})
    np.testing.assert_array_equal(table.views[0][:], FRAMES["b"])
    table = read_frames(data(tmp_path, pooling="pooled").frames_source("val"), ["a"])
    assert (table.path, table.lengths.tolist()) == (beside, [1])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"pooling": "pooled"}, f"pooling is patches, this run wants pooled; write it again: {MAKE}"),
        ({"model": "other"}, "model is some/clip, this run wants other"),
        ({"layers": 11}, "layers is all, this run wants 11"),
        ({}, "precision is fp16, this run wants fp32 (or set data.image_embeddings.precision=fp16)"),
    ],
)
def test_frames_made_otherwise_are_refused(tmp_path, wanted, message):
    spec = data(tmp_path, **wanted)
    write(spec.image_frames("val"), FRAMES, SETTINGS._replace(precision="fp32" if wanted else "fp16"))
    with pytest.raises(ArtefactError) as error:
        read_frames(spec.frames_source("val"), ["a"])
    assert message in str(error.value)
    assert "audio" not in str(error.value)


def test_messages_name_the_script_of_pictures(tmp_path):
    spec = data(tmp_path)
    with pytest.raises(ArtefactError, match=f"val_image_frames.hdf5: no such file; write it: {MAKE}"):
        read_frames(spec.frames_source("val"), ["a"])
    write(spec.image_frames("val"), {"a": np.full((3, 2), np.inf)})
    with pytest.raises(ArtefactError, match=r"refused every clip; name another one: data\.image_embeddings"):
        read_frames(spec.frames_source("val"), ["c"])
    picture = Clip("a", "a.jpg", "a.jpg", 0.0, 0, 3, "1")
    features = FrameFeatures(read_frames(spec.frames_source("val"), ["a"]), [picture], 30.0)
    assert features.max_length == 3
    with pytest.raises(ArtefactError, match=f"remove the file and write it again: {MAKE}"):
        features.batch(np.array([0]), np.array([0]), np.array([3]))


def test_layers_belong_to_patches(tmp_path):
    assert IMAGE_POOLINGS == ("patches", "pooled")
    assert data(tmp_path, layers=11).frames_source("val").layers == 11
    with pytest.raises(ConfigError, match="layers belongs to pooling: patches"):
        data(tmp_path, layers=11, pooling="pooled")
    with pytest.raises(ConfigError, match=r"pooling: .*patches"):
        data(tmp_path, pooling="mean")


def test_stage_1_replaces_no_file_of_another_program(tmp_path):
    spec = data(tmp_path)
    splits = spec.splits.names()
    assert len(products_of(spec)) == 2 + 4 * len(splits)
    path = spec.text_table(splits[0])
    path.parent.mkdir()
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ForeignFileError) as error, making(spec, "image embeddings"):
        pass
    assert str(path) in str(error.value)
    assert "--set data.features=DIR" in str(error.value)
    assert "DCASE" not in str(error.value)
