import numpy as np
import pytest
from PIL import Image

from utkface.data.images import MAX_PIXELS, MIN_SIDE_PIXELS, ImageRejected, decode_face, upright_rgb


def flat(mode, colour, size=(64, 64)):
    return Image.new(mode, size, colour)


def assert_colour(pixels, colour, tolerance=3):
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(axis=0), colour, atol=tolerance)


@pytest.mark.parametrize(
    ("image", "kind", "colour"),
    [
        (flat("RGB", (200, 100, 50)), "JPEG", (200, 100, 50)),
        (flat("L", 77), "JPEG", (77, 77, 77)),
        (flat("CMYK", (0, 255, 255, 0)), "JPEG", (254, 0, 0)),
        (flat("RGB", (10, 200, 30)).convert("P"), "PNG", (10, 200, 30)),  # dithered
        (flat("1", 1), "PNG", (255, 255, 255)),
        (flat("LA", (100, 255)), "PNG", (100, 100, 100)),
        (flat("RGBA", (255, 0, 0, 0)), "PNG", (255, 255, 255)),  # hidden colour stays hidden
        (flat("RGBA", (255, 0, 0, 128)), "PNG", (255, 127, 127)),
        (flat("RGB", (1, 2, 3)), "BMP", (1, 2, 3)),
        (flat("RGB", (90, 90, 200)), "WEBP", (90, 90, 200)),
        (Image.fromarray(np.full((64, 64), 0x8040, np.uint16)), "PNG", (128,) * 3),  # not clipped
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_mode_becomes_rgb(image, kind, colour, encode):
    pixels = decode_face(encode(image, kind), 32)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert_colour(pixels, colour)


def test_integers_up_to_255_are_taken_for_what_they_are():
    grey = Image.fromarray(np.full((64, 64), 200, np.int32))
    assert grey.mode == "I"
    assert_colour(np.asarray(upright_rgb(grey)), (200, 200, 200), tolerance=0)


def test_the_first_picture_of_a_phones_multi_picture_jpeg_is_taken(encode):
    first, second = flat("RGB", (200, 0, 0)), flat("RGB", (0, 0, 200))
    data = encode(first, "MPO", save_all=True, append_images=[second])
    assert_colour(decode_face(data, 32), (200, 0, 0))


def test_palette_transparency_is_laid_over_white(encode):
    palette = flat("P", 0)
    palette.putpalette([0, 0, 0] * 256)
    assert_colour(decode_face(encode(palette, "PNG", transparency=0), 32), (255, 255, 255))


def test_exif_rotation_is_undone(encode):
    upright = Image.new("RGB", (64, 64), "black")
    upright.paste((255, 255, 255), (0, 0, 64, 32))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn a quarter clockwise to show"
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    pixels = decode_face(encode(stored, "JPEG", exif=exif), 32)
    assert pixels[:12].mean() > 250
    assert pixels[20:].mean() < 5


@pytest.mark.parametrize("size", [(128, 64), (64, 128)])
def test_the_centre_square_is_kept(size, encode):
    image = Image.new("RGB", size, "red")
    left, top = (size[0] - 64) // 2, (size[1] - 64) // 2
    image.paste((0, 0, 255), (left, top, left + 64, top + 64))
    assert_colour(decode_face(encode(image, "PNG"), 64), (0, 0, 255), tolerance=0)


def test_resizing_is_antialiased(encode):
    checks = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = decode_face(encode(Image.fromarray(checks), "PNG"), 32)
    assert np.ptp(pixels[4:-4, 4:-4].astype(int)) <= 2  # grey, not black and white at random


def test_a_large_photograph_is_drafted_to_the_same_picture(make_picture, encode):
    large, small = make_picture(3, 3000), make_picture(3, 600)
    difference = decode_face(encode(large), 64).astype(int) - decode_face(encode(small), 64)
    assert np.abs(difference).mean() < 2


def test_huge_images_are_refused_before_decoding(encode, monkeypatch):
    huge = encode(Image.new("1", (MAX_PIXELS // 5000 + 1, 5000)), "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    with pytest.raises(ImageRejected, match="too large"):
        decode_face(huge, 32)


def test_decompression_bombs_are_refused(encode):
    bomb = bytearray(encode(flat("RGB", 0), "BMP"))
    bomb[18:26] = (60_000).to_bytes(4, "little") * 2
    with pytest.raises(ImageRejected, match="too large"):
        decode_face(bytes(bomb), 32)


@pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE_PIXELS - 1, 200)])
def test_tiny_images_are_refused(size, encode):
    with pytest.raises(ImageRejected, match="too small"):
        decode_face(encode(flat("RGB", 0, size), "PNG"), 32)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_truncated_files_are_refused(kind, make_picture, encode):
    data = encode(make_picture(1, 200), kind)
    for share in (0.4, 0.9):
        with pytest.raises(ImageRejected, match=r"damaged image: .+|not an image"):
            decode_face(data[: int(share * len(data))], 32)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"<html>not found</html>", bytes(5000)])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ImageRejected):
        decode_face(data, 32)
