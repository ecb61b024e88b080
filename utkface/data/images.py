"""One image file in, one square RGB array out; every odd kind is handled on purpose.

========================  ==========================================================================
kind                      what happens
========================  ==========================================================================
unreadable, truncated     refused, with the decoder's reason
grey, CMYK, palette       converted to RGB
16 bits per channel       scaled down to 8, not clipped
alpha                     laid over white, as viewers show it
EXIF rotation             turned upright
more than 50 megapixels   refused before any pixel is decoded
a side under 32 pixels    refused: smaller than the smallest network input
not square                the centre square: the face keeps its proportions and no bars are added
========================  ==========================================================================

The whole image that `open_rgb` gives does not depend on the size wanted, so that copies, which are
found by looking at it, and with them the splits, are the same at every resolution.
"""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MIN_SIDE_PIXELS = 32
MAX_PIXELS = 50_000_000
# JPEGs of at least twice this side are decoded at a half, a quarter or an eighth, which is free.
_DRAFT_SIDE_PIXELS = 512
# Fewer decoders than Pillow has: the files come from strangers.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
#: How the names of files that can be decoded end, in lower case.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif")


class ImageRejected(Exception):  # noqa: N818 - a verdict on one file, not a failure of the program
    """An image that cannot be used; the message is the reason, kind first."""


def decode_face(data: bytes, image_size: int) -> NDArray[np.uint8]:
    """Decode a file's bytes to an (image_size, image_size, 3) uint8 RGB array.

    Raises `ImageRejected` with the reason when there is no usable image in ``data``.
    """
    return square_pixels(open_rgb(data), image_size)


def open_rgb(data: bytes) -> Image.Image:
    """Return the whole image, decoded, upright and in RGB; raises `ImageRejected` as above."""
    with _rejecting():
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_size(*image.size)
        image.draft(None, (_DRAFT_SIDE_PIXELS, _DRAFT_SIDE_PIXELS))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)  # a copy would take a tenth of the time
        return _to_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image of Pillow's upright and in RGB, a new one; raises `ImageRejected` as above.

    Equals what `open_rgb` gives for its file, but for JPEGs from 1,024 pixels a side, which are
    decoded at a lower resolution there.
    """
    with _rejecting():
        _check_size(*image.size)
        return _to_rgb(ImageOps.exif_transpose(image))


@contextlib.contextmanager
def _rejecting() -> Iterator[None]:
    """Tell whatever goes wrong in decoding as a rejection of the image."""
    try:
        yield
    except ImageRejected:
        raise
    except Image.DecompressionBombError:
        raise ImageRejected(f"too large: more than {MAX_PIXELS:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise ImageRejected("not an image") from None
    except Exception as error:  # decoders meet broken bytes with almost any type of exception
        raise ImageRejected(f"damaged image: {' '.join(str(error).split())}") from error


def square_pixels(image: Image.Image, image_size: int) -> NDArray[np.uint8]:
    """Cut the centre square and resize it, antialiased: (image_size, image_size, 3) uint8."""
    square = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(square)


def _check_size(width: int, height: int) -> None:
    """Refuse what is too large or too small to be worth decoding."""
    if width * height > MAX_PIXELS:
        raise ImageRejected(f"too large: {width}x{height}, more than {MAX_PIXELS:,} pixels")
    if min(width, height) < MIN_SIDE_PIXELS:
        raise ImageRejected(f"too small: {width}x{height}, a side under {MIN_SIDE_PIXELS} pixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB without clipping 16-bit values or showing what alpha hides."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):  # 16-bit grey; convert() would clip it
        values = np.asarray(image).astype(np.int64)
        if image.mode != "I" or values.max() > 255:  # else 8-bit values in an array of integers
            values >>= 8
        return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
