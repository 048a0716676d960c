"""Decode pictures and bring them to the size that a network takes: files in, arrays out."""

from utils.image_utils.decoding import MAX_PIXELS, ImageError, Picture, read_image
from utils.image_utils.network_input import ImageInput

__all__ = ["MAX_PIXELS", "ImageError", "ImageInput", "Picture", "read_image"]
