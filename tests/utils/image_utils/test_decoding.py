"""Pictures of every mode, upright and on white; other files are refused with a reason, bombs unread."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.tiny import ROOT
from utils.image_utils import MAX_PIXELS, ImageError, decoding, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# Two rows, three columns, no two pixels alike: a turn or a flip shows.
COLOURS = np.array([[RED, GREEN, BLUE], [(10, 20, 30), (200, 100, 50), (0, 0, 0)]], np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def of(array, mode=None):
    return Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp", "gif"])
def test_formats_without_loss(tmp_path, suffix):
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"x.{suffix}", of(COLOURS), **options)
    found = read_image(path)
    assert (found.dtype, found.shape) == (np.uint8, (2, 3, 3))
    np.testing.assert_array_equal(found, COLOURS)
    np.testing.assert_array_equal(read_image(path.rename(tmp_path / "x.jpg")), COLOURS)  # its suffix does not matter


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, COLOURS),
        (2, COLOURS[:, ::-1]),
        (3, COLOURS[::-1, ::-1]),
        (4, COLOURS[::-1]),
        (5, COLOURS.transpose(1, 0, 2)),
        (6, np.rot90(COLOURS, -1)),  # the camera was held upright: a quarter clockwise
        (7, COLOURS[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(COLOURS)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_the_orientation_of_exif_is_applied(tmp_path, orientation, turned, suffix):
    exif = Image.Exif()
    exif[274] = orientation
    np.testing.assert_array_equal(read_image(saved(tmp_path / f"x.{suffix}", of(COLOURS), exif=exif)), turned)


def test_the_orientation_of_a_photograph(tmp_path):
    """JPEG loses detail, not the place of large areas."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32] = RED
    exif = Image.Exif()
    exif[274] = 6
    found = read_image(saved(tmp_path / "x.jpg", of(picture), exif=exif, quality=95))
    assert found.shape == (64, 32, 3)
    assert np.abs(found[:24].astype(int) - RED).max() < 12
    assert found[40:].max() < 12


def test_grey(tmp_path):
    grey = np.array([[0, 128, 255]], np.uint8)
    wanted = grey[..., None].repeat(3, 2)
    for mode in ("L", "LA"):
        np.testing.assert_array_equal(read_image(saved(tmp_path / f"{mode}.png", of(grey, mode))), wanted)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "1.png", of(grey > 100, "1"))), (wanted > 100) * 255)


def test_grey_of_16_bits(tmp_path):
    """65535 is white, in whichever of Pillow's modes it is opened."""
    grey = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)
    wanted = np.array([[0, 0, 1, 156, 255]], np.uint8)[..., None].repeat(3, 2)
    for name in ("x.png", "x.tiff"):
        np.testing.assert_array_equal(read_image(saved(tmp_path / name, of(grey))), wanted)
    (tmp_path / "x.pgm").write_bytes(b"P5 5 1 65535\n" + grey.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "x.pgm"), wanted)


@pytest.mark.parametrize("array", [np.array([[0.5]], np.float32), np.array([[70_000]], np.int32)])
def test_pixels_whose_white_is_not_known(tmp_path, array):
    path = saved(tmp_path / "x.tiff", of(array))
    with pytest.raises(ImageError, match=r"its pixels have 32 bits \(mode [FI]\), and no known white"):
        read_image(path)


def test_what_is_transparent_is_white(tmp_path):
    rgba = np.dstack([COLOURS, np.array([[255, 0, 0], [255, 128, 0]], np.uint8)])
    half = np.rint(np.array([200, 100, 50]) * 128 / 255 + 255 * 127 / 255)
    wanted = np.array([[RED, WHITE, WHITE], [(10, 20, 30), half, WHITE]])
    found = read_image(saved(tmp_path / "x.png", of(rgba)))
    assert np.abs(found.astype(int) - wanted).max() <= 1
    assert (read_image(saved(tmp_path / "la.png", of(np.dstack([[[9]], [[0]]]).astype(np.uint8), "LA"))) == 255).all()
    # one colour of a picture without an alpha channel
    found = read_image(saved(tmp_path / "key.png", of(COLOURS), transparency=GREEN))
    assert found[0].tolist() == [list(RED), list(WHITE), list(BLUE)]


def test_palettes(tmp_path):
    palette = of(np.array([[0, 1, 2]], np.uint8))
    palette = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    palette.putpalette([*RED, *GREEN, *BLUE])
    assert read_image(saved(tmp_path / "x.png", palette))[0].tolist() == [list(RED), list(GREEN), list(BLUE)]
    for name in ("x.png", "x.gif"):
        found = read_image(saved(tmp_path / name, palette, transparency=1))
        assert found[0].tolist() == [list(RED), list(WHITE), list(BLUE)]
    found = read_image(saved(tmp_path / "bytes.png", palette, transparency=bytes([255, 0, 255])))
    assert found[0].tolist() == [list(RED), list(WHITE), list(BLUE)]


def test_cmyk(tmp_path):
    ink = np.full((16, 16, 4), (0, 255, 255, 0), np.uint8)  # magenta and yellow
    picture = Image.frombytes("CMYK", (16, 16), ink.tobytes())
    for name in ("x.jpg", "x.tiff"):
        assert np.abs(read_image(saved(tmp_path / name, picture)).astype(int) - RED).max() <= 3


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_the_first_frame_of_an_animation(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"x.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options)
    assert (read_image(path) == RED).all()


def jpeg(size=64):
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    of(rng.integers(0, 255, (size, size, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def png(width, height, packed=b""):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty: 0 bytes"),
        (b"just some words\n" * 20, "is no picture: expected JPEG, PNG, GIF, WEBP, BMP, TIFF, PPM, JPEG2000 or AVIF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "is no picture"),  # Ghostscript would run it
        (jpeg()[:2000], "cannot be decoded: image file is truncated (146 bytes not processed)"),
        (jpeg()[:300], "cannot be decoded: "),
        (png(4, 4, zlib.compress(bytes(60))[:-8]), "cannot be decoded: "),
        (png(0, 5), "is no picture"),
    ],
    ids=["empty", "text", "eps", "truncated jpeg", "jpeg without pixels", "damaged png", "no pixels"],
)
def test_files_that_are_refused(tmp_path, content, reason):
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert str(error.value).startswith(reason)
    assert "\n" not in str(error.value)
    assert "x.jpg" not in str(error.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ImageError, match="cannot be decoded: no such file"):
        read_image(tmp_path / "x.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="cannot be decoded: not a regular file"):
        read_image(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(
    ("width", "height", "found"),
    [
        (10_000, 10_000, "10000 x 10000 pixels"),
        (16_000, 4_001, "16000 x 4001 pixels"),
        (30_000, 30_000, "its header declares more pixels than Pillow opens"),
    ],
)
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch, width, height, found):
    """A file of a hundred kilobytes that would fill 300 MB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(50)) + packer.flush()
    (tmp_path / "x.png").write_bytes(png(width, height, packed))
    monkeypatch.setattr(decoding, "_rgb", None)
    with pytest.raises(ImageError) as error:
        read_image(tmp_path / "x.png")
    assert str(error.value) == f"is too large: {found}, expected at most {MAX_PIXELS // 10**6} million; scale it down"


def test_pillow_s_own_warning_is_not_printed(tmp_path):
    """As a script prints it, not as pytest does."""
    (tmp_path / "x.png").write_bytes(png(10_000, 10_000))
    code = "import pathlib, sys; from utils.image_utils import read_image; read_image(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.png"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "ImageError: is too large" in done.stderr
    assert "Warning" not in done.stderr


def test_large_pictures_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_LARGE_PIXELS", 5)
    held = []
    decode = decoding._rgb
    monkeypatch.setattr(decoding, "_rgb", lambda image: held.append(decoding._ONE_LARGE.locked()) or decode(image))
    read_image(saved(tmp_path / "x.png", of(COLOURS)))
    read_image(saved(tmp_path / "y.png", of(COLOURS[:1])))
    assert held == [True, False]
