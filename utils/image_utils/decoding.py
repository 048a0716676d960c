"""Decode picture files to RGB: upright, on white where they are transparent, the first frame of an animation."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3), RGB

# More than nearly all cameras make; a picture of this size takes 200 MB, and a file of some kilobytes can declare any.
MAX_PIXELS = 64_000_000
# Formats of data sets. Pillow reads others too, some of them with programs outside (EPS: Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

_WHITE = (255, 255, 255)
# Larger pictures are decoded one at a time, so that threads do not need this memory several times.
_LARGE_PIXELS = 8_000_000
_ONE_LARGE = threading.Lock()
# Of Pillow's own limit, which only warns where ours has refused the picture.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Of Pillow's decoders, on damaged files.
_FOREIGN_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError),
    *(RuntimeError, SyntaxError, EOFError, MemoryError, struct.error, zlib.error),
)


class ImageError(ValueError):
    """A picture that cannot be decoded; the message is the reason, without the file's name."""


def read_image(path: Path) -> Picture:
    """Decode a picture.

    The orientation of EXIF is applied. Grey, palette, CMYK and 16-bit pictures become RGB of 8 bits; transparent parts
    become white. Colour profiles are ignored, as CLIP's training ignored them.

    Args:
        path: the file; its content decides the format, not its suffix.
    Returns:
        (H, W, 3) uint8.
    Raises:
        ImageError: no picture, truncated, damaged, or of more than `MAX_PIXELS` pixels.
    """
    if not path.is_file():  # opening a named pipe would wait forever
        raise ImageError(f"cannot be decoded: {'not a regular file' if path.exists() else 'no such file'}")
    try:
        if path.stat().st_size == 0:
            raise ImageError("is empty: 0 bytes")
        with Image.open(path, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:  # declared by the header; nothing is decoded yet
                raise _too_large(f"{image.width} x {image.height} pixels")
            if pixels <= _LARGE_PIXELS:
                return _rgb(image)
            with _ONE_LARGE:
                return _rgb(image)
    except UnidentifiedImageError as error:
        raise ImageError(f"is no picture: expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, at twice MAX_IMAGE_PIXELS
        raise _too_large("its header declares more pixels than Pillow opens") from error
    except ImageError:
        raise
    except _FOREIGN_ERRORS as error:
        raise ImageError(f"cannot be decoded: {_reason(error)}") from error


def _too_large(found: str) -> ImageError:
    return ImageError(f"is too large: {found}, expected at most {MAX_PIXELS // 10**6} million; scale it down")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _rgb(image: Image.Image) -> Picture:
    """(H, W, 3) uint8 of an open picture, at its first frame."""
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return np.repeat(_grey_of_16_bits(image)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("RGB"))


def _grey_of_16_bits(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W) of a picture whose white is 65535; a PGM of 16 bits is opened with pixels of 32.

    Raises:
        ImageError: its pixels hold other numbers, whose white is not known.
    """
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65_535:
        raise ImageError(f"cannot be decoded: its pixels have 32 bits (mode {image.mode}), and no known white")
    return (values // 256).astype(np.uint8)
