"""What makes drawn faces photographs: background, light, colour cast, blur, noise.

Light is computed per pixel as if the head were an ellipsoid.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SIZE = 200  # pixels
ZOOM = 3  # drawn at three times the size and averaged down, which is antialiasing


def background(rng: np.random.Generator) -> Image.Image:
    """A blurred room: a few large blocks of colour, enlarged smoothly; RGB, `ZOOM` × `SIZE`."""
    base = rng.uniform(45, 215) + rng.normal(0, 24, 3)
    blocks = np.clip(base + rng.normal(0, 10, (4, 4, 3)) + rng.normal(0, 26, (4, 4, 1)), 0, 255)
    size = (SIZE * ZOOM, SIZE * ZOOM)
    return Image.fromarray(blocks.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def _light(
    centre: NDArray[np.float64], half_width: float, half_height: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Brightness of each pixel, (SIZE, SIZE, 1): ambient light and one lamp on an ellipsoid."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    x, y = (x - centre[0]) / half_width, (y - centre[1]) / half_height
    radius = np.hypot(x, y) + 1e-6
    inside = np.minimum(radius, 1) / radius / 1.15  # beyond the rim as at the rim
    x, y = x * inside, y * inside
    angle, height = rng.uniform(-1.2, 1.2), rng.uniform(-0.7, 0.15)
    lamp = np.array([np.sin(angle), height, np.cos(angle)]) / np.hypot(1, height)
    lit = np.maximum(x * lamp[0] + y * lamp[1] + np.sqrt(1 - x**2 - y**2) * lamp[2], 0)
    ambient = rng.uniform(0.5, 0.8)
    brightness = (ambient + (1.08 - ambient) * lit) * rng.uniform(0.78, 1.15)
    return brightness[..., None].astype(np.float32)


def photograph(
    drawing: Image.Image,
    centre: NDArray[np.float64],
    half_width: float,
    half_height: float,
    rng: np.random.Generator,
) -> Image.Image:
    """Turn a drawing into a photograph: RGB, `SIZE` × `SIZE`.

    drawing: RGB, `ZOOM` times as large; centre, half_width, half_height: the head's, in pixels.
    """
    image = drawing.reduce(ZOOM)
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.3))))
    pixels = np.asarray(image, dtype=np.float32) * _light(centre, half_width, half_height, rng)
    pixels = pixels * rng.normal(1, 0.03, 3).astype(np.float32)
    if rng.random() < 0.04:  # a black and white film
        pixels = np.repeat(pixels @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    noise = rng.standard_normal((SIZE, SIZE, 1), dtype=np.float32)
    pixels = pixels + noise * np.float32(rng.uniform(1, 6))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
