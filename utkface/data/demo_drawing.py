"""From a drawn person's `Traits` to a 200×200 picture with pose, light, background and noise.

Shapes are polygons in head coordinates (x right, y down, origin at the centre of the head, one unit
half its width), drawn with Pillow at three times the size and averaged down, which is antialiasing.
Light is computed per pixel as if the head were an ellipsoid.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from utkface.data.demo_traits import Colour, Traits

SIZE = 200
_ZOOM = 3  # supersampling
_GREY_HAIR = np.array([216.0, 214.0, 212.0])
Points = NDArray[np.float64]  # (n, 2)


def _arc(start: float, end: float, num_points: int = 24) -> tuple[Points, Points]:
    angle = np.radians(np.linspace(start, end, num_points))
    return np.cos(angle), np.sin(angle)


def _shade(colour: Colour, factor: float) -> Colour:
    return np.clip(colour * factor, 0, 255)


class _Pen:
    """Draws in head coordinates under one pose: roll, yaw, size and place of the head."""

    def __init__(self, traits: Traits, background: Image.Image, rng: np.random.Generator) -> None:
        self.traits, self.rng = traits, rng
        self.image = background
        self.draw = ImageDraw.Draw(background)
        self.unit = SIZE * rng.normal(0.325, 0.016)
        self.roll = rng.normal(0, np.radians(6))
        self.yaw = float(np.clip(rng.normal(0, 0.09), -0.22, 0.22))  # shift of nose, eyes, mouth
        self.centre = SIZE * np.array([0.5, 0.54]) + rng.normal(0, 4, 2)

    def _place(self, points: Points) -> list[tuple[float, float]]:
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        turned = points @ np.array([[cos, sin], [-sin, cos]]) * self.unit + self.centre
        return [(float(x), float(y)) for x, y in turned * _ZOOM]

    def fill(self, points: Points, colour: Colour) -> None:
        self.draw.polygon(self._place(points), fill=tuple(int(c) for c in colour))

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        cos, sin = _arc(0, 360)
        self.fill(np.column_stack([x + width * cos, y + height * sin]), colour)

    def line(self, points: Iterable[tuple[float, float]], colour: Colour, width: float) -> None:
        placed = self._place(np.array(list(points), float))
        pixels = max(1, round(width * self.unit * _ZOOM))
        self.draw.line(placed, fill=tuple(int(c) for c in colour), width=pixels, joint="curve")


def _head_outline(t: Traits, grow: float = 0.0, start: float = 0, end: float = 360) -> Points:
    """Outline of the head from ``start`` to ``end`` degrees (0 right ear, 90 chin, 270 top)."""
    cos, sin = _arc(start, end, 60)
    low = np.maximum(sin, 0)
    narrowing = 1 - (0.22 - 0.16 * t.jaw - 0.14 * t.cheeks) * low**1.3
    squared = np.sign(cos) * np.abs(cos) ** (1 - 0.3 * t.jaw * low - 0.2 * t.cheeks * low)
    return np.column_stack([squared * narrowing * (1 + grow), sin * t.head_height * (1 + grow)])


def _strand(pen: _Pen) -> Colour:
    """Colour of one strand: the person's own or grey, a little lighter or darker."""
    t, rng = pen.traits, pen.rng
    colour = _GREY_HAIR if rng.random() < t.grey else t.hair
    thin = t.skin + (colour - t.skin) * (0.35 + 0.65 * t.hair_density)
    return _shade(thin, float(rng.uniform(0.82, 1.15)))


def _hair_colour(t: Traits) -> Colour:
    mixed = t.hair + (_GREY_HAIR - t.hair) * t.grey
    return t.skin + (mixed - t.skin) * (0.35 + 0.65 * t.hair_density)


def _draw_back_hair(pen: _Pen) -> None:
    t, colour = pen.traits, _shade(_hair_colour(pen.traits), 0.8)
    if t.hair_length > 0.35:
        down, cos_sin = t.hair_length * t.head_height * 1.45, _arc(180, 360, 40)
        top = np.column_stack([1.22 * cos_sin[0], 1.13 * t.head_height * cos_sin[1]])
        sides = np.array([[1.3, 0.5 * down], [1.12, down], [-1.12, down], [-1.3, 0.5 * down]])
        pen.fill(np.vstack([top, sides]), colour)
        for x in pen.rng.uniform(-1.18, 1.18, 26):
            bend = x * 1.06
            pen.line([(x, -0.2), (bend, 0.5 * down), (x, down)], _shade(_strand(pen), 0.9), 0.025)
    elif t.hairline > 0.98:  # bald on top: hair only beside the ears
        for side in (-1, 1):
            pen.ellipse(0.93 * side, -0.12, 0.15, 0.36, colour)
    if t.curly and t.hairline < 1 and t.hair_density > 0.6:
        _draw_curls(pen, reach=0.16 + 0.12 * t.hair_length, colour_factor=0.85)


def _draw_curls(pen: _Pen, reach: float, colour_factor: float) -> None:
    t = pen.traits
    for angle in pen.rng.uniform(175, 365, 90):
        radius = 0.98 + reach * pen.rng.random()
        x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle)) * t.head_height
        size = pen.rng.uniform(0.07, 0.13)
        pen.ellipse(x * radius, y * radius, size, size, _shade(_strand(pen), colour_factor))


def _draw_head(pen: _Pen) -> None:
    t = pen.traits
    shadow = _shade(t.skin, 0.78)
    shoulders = np.array([[-2.2, 3], [-1.7, 1.75], [-0.5, 1.5], [0.5, 1.5], [1.7, 1.75], [2.2, 3]])
    neck = 0.5 + 0.16 * t.jaw - 0.1 * t.cheeks
    clothes = pen.rng.uniform(30, 220, 3)
    pen.fill(shoulders, clothes)
    pen.fill(np.array([[-neck, 0.6], [neck, 0.6], [neck + 0.1, 1.62], [0, 1.85], [-neck - 0.1, 1.62]]), shadow)
    for side in (-1, 1):
        ear_x = side * (1.0 - 0.06 * t.cheeks) - 0.35 * pen.yaw
        pen.ellipse(ear_x, t.eye_y + 0.12, 0.12, 0.24 + 0.04 * t.sagging, _shade(t.skin, 0.9))
        pen.ellipse(ear_x, t.eye_y + 0.12, 0.06, 0.14, shadow)
        if t.earrings:
            pen.ellipse(ear_x, t.eye_y + 0.42, 0.045, 0.06, np.array([226.0, 196.0, 110.0]))
    pen.fill(_head_outline(t), t.skin)
    for side in (-1, 1):  # jowls below, the young have red cheeks
        rosy = t.skin * (1 - 0.1 * t.cheeks) + np.array([230.0, 110.0, 100.0]) * 0.1 * t.cheeks
        pen.ellipse(side * 0.55 + pen.yaw, t.eye_y + 0.45, 0.24, 0.17, rosy)


def _draw_eyes(pen: _Pen) -> None:
    t = pen.traits
    height = t.eye_size * max(t.eye_openness, 0.2)
    gaze = pen.rng.normal(0, 0.02)
    lid = _shade(t.skin, 0.72)
    cos, sin = _arc(180, 360)
    for side in (-1, 1):
        x, y = side * 0.43 + 1.1 * pen.yaw, t.eye_y
        pen.ellipse(x, y - 0.02, t.eye_size * 1.18, height * 1.35, _shade(t.skin, 0.91))
        pen.ellipse(x, y, t.eye_size, height, np.array([244.0, 241.0, 238.0]))
        iris = min(t.eye_size * 0.52, height * 1.02)
        pen.ellipse(x + gaze, y, iris, iris, t.iris)
        pen.ellipse(x + gaze, y, iris * 0.48, iris * 0.48, np.array([14.0, 12.0, 12.0]))
        pen.ellipse(x + gaze + 0.03, y - 0.035, iris * 0.2, iris * 0.2, np.full(3, 250.0))
        upper = list(zip(x + t.eye_size * 1.05 * cos, y + height * 1.02 * sin, strict=True))
        pen.line(upper, _shade(lid, 1 - 0.75 * t.lashes), 0.022 + 0.03 * t.lashes)
        brow_y = y - height - 0.15 - 0.03 * t.lashes
        span = np.linspace(-1, 1, 9)
        arch = brow_y - t.brow_arch * (1 - span**2) + 0.03 * span * side + 0.05 * t.sagging * (span * side > 0.4)
        thickness = t.brow_thickness * (1.1 - 0.5 * span * side)
        brow_x = x + 0.27 * span
        outline = [*zip(brow_x, arch - thickness, strict=True)]
        outline += [*zip(brow_x[::-1], (arch + thickness)[::-1], strict=True)]
        pen.fill(np.array(outline), _shade(_hair_colour(t), 0.8))


def _draw_nose(pen: _Pen) -> None:
    t, x = pen.traits, 1.5 * pen.yaw
    tip = t.eye_y + 0.1 + t.nose_length
    shadow, light = _shade(t.skin, 0.84), _shade(t.skin, 1.06)
    pen.line([(x * 0.7 - 0.07, t.eye_y + 0.05), (x - t.nose_width * 0.7, tip - 0.05)], shadow, 0.025)
    pen.ellipse(x, tip, t.nose_width, 0.09, _shade(t.skin, 0.92))
    pen.ellipse(x, tip - 0.05, t.nose_width * 0.6, 0.08, light)
    for side in (-1, 1):
        pen.ellipse(x + side * t.nose_width * 0.55, tip + 0.035, 0.045, 0.025, _shade(t.skin, 0.5))


def _mouth_y(t: Traits) -> float:
    return 0.5 * (t.eye_y + 0.1 + t.nose_length) + 0.47 * t.head_height


def _draw_mouth(pen: _Pen) -> None:
    t, x0, y0 = pen.traits, 1.2 * pen.yaw, _mouth_y(pen.traits)
    span = np.linspace(-1, 1, 21)
    curve = y0 - 0.1 * t.smile * span**2 + 0.03 * t.smile
    x, round_ = x0 + t.mouth_width * (1 + 0.12 * t.smile) * span, np.sqrt(1 - span**2)
    opening = max(0.0, t.smile - 0.45) * 0.16 * round_
    bow = 1 - 0.25 * np.exp(-((span / 0.18) ** 2))
    upper, lower = curve - t.lip_fullness * round_ * bow, curve + opening + 1.25 * t.lip_fullness * round_
    ring = lambda top, bottom: np.column_stack([np.r_[x, x[::-1]], np.r_[top, bottom[::-1]]])  # noqa: E731
    pen.fill(ring(upper, lower), t.lips)
    if opening.max() > 0:
        pen.fill(ring(curve, curve + opening), np.array([242.0, 236.0, 228.0]))
    else:
        pen.line(zip(x, curve, strict=True), _shade(t.lips, 0.62), 0.02)


def _draw_beard(pen: _Pen) -> None:
    t = pen.traits
    if t.beard < 0.05:
        return
    colour = t.skin + (_hair_colour(t) - t.skin) * min(t.beard, 0.92)
    outer = _head_outline(t, 0.02 if t.beard > 0.9 else -0.01, -4, 184)
    mouth = _mouth_y(t) - 0.22
    inner_x = np.linspace(-0.84, 0.84, 25)
    inner = mouth + 0.3 * (np.abs(inner_x) / 0.84 - 0.45) ** 2 - 0.35 * (np.abs(inner_x) / 0.84) ** 6
    pen.fill(np.vstack([outer, np.column_stack([inner_x + pen.yaw, inner])]), colour)


def _draw_wrinkles(pen: _Pen) -> None:
    t, yaw = pen.traits, pen.yaw
    crease = lambda strength: _shade(t.skin, 1 - 0.34 * min(strength, 1.0))  # noqa: E731
    if t.wrinkles < 0.03:
        return
    span = np.linspace(-1, 1, 13)
    for i in range(round(4.4 * t.wrinkles)):
        y = t.eye_y - 0.52 - 0.13 * i + 0.025 * np.cos(3 * span + i)
        pen.line(zip(yaw + 0.55 * span, y, strict=True), crease(0.85 * t.wrinkles), 0.02)
    nose, mouth = t.eye_y + 0.1 + t.nose_length, _mouth_y(t)
    for side in (-1, 1):
        fold = [(0.2, nose - 0.04), (0.36, nose + 0.12), (0.44, mouth), (0.42, mouth + 0.12 * t.wrinkles)]
        pen.line([(yaw + side * x, y) for x, y in fold], crease(t.wrinkles), 0.022)
        bag = [(0.43 + 0.2 * s, t.eye_y + 0.2 + 0.05 * (1 - s * s)) for s in span]
        pen.line([(1.1 * yaw + side * x, y) for x, y in bag], crease(0.9 * t.wrinkles), 0.02)
        for i in range(round(3 * t.wrinkles)):  # crow's feet
            feet = [(0.67, t.eye_y + 0.01 * i), (0.84, t.eye_y - 0.12 + 0.13 * i)]
            pen.line([(yaw + side * x, y) for x, y in feet], crease(0.7 * t.wrinkles), 0.018)
        jowl = [(0.5, mouth + 0.1), (0.62, mouth + 0.25), (0.6, mouth + 0.36)]
        pen.line([(yaw + side * x, y) for x, y in jowl], crease(0.8 * t.sagging), 0.022)
    for _ in range(t.spots):
        x, y = pen.rng.uniform(-0.75, 0.75), pen.rng.uniform(-0.95, 0.75)
        size = pen.rng.uniform(0.015, 0.04)
        pen.ellipse(x, y * t.head_height * 0.9, size, size, _shade(t.skin, 0.8))


def _draw_front_hair(pen: _Pen) -> None:
    """The cap of hair between the outline of the head and the hairline."""
    t = pen.traits
    if t.hairline > 0.98:
        return
    cap = _head_outline(t, 0.08 * (0.4 + 0.6 * t.hair_density), 188, 352)
    parting = pen.rng.uniform(-0.5, 0.5)
    x = np.linspace(0.97, -0.97, 31)
    line = -t.head_height * (t.hairline - t.fringe * np.cos(1.6 * (x - parting)))
    side = -0.12 * t.head_height  # where the hair meets the ears
    hairline = line + (side - line) * np.abs(x) ** (4 + 4 * (t.hairline < 0.8))
    pen.fill(np.vstack([cap, np.column_stack([x + 0.3 * pen.yaw, hairline])]), _hair_colour(t))
    for i in pen.rng.integers(0, len(x), round(70 * t.hair_density)):
        root = (x[i] * 0.75 + 0.25 * parting, -t.head_height * 1.06 * np.sqrt(1 - 0.85 * x[i] ** 2))
        if hairline[i] - root[1] < 0.08:
            continue
        middle = (x[i] * 0.93 + 0.07 * parting, 0.5 * (root[1] + hairline[i]))
        pen.line([root, middle, (x[i], hairline[i])], _strand(pen), 0.02)
    if t.curly and t.hair_density > 0.6:
        _draw_curls(pen, reach=0.1, colour_factor=1.05)


def _draw_glasses(pen: _Pen) -> None:
    t, frame = pen.traits, pen.rng.uniform(15, 90, 3)
    cos, sin = _arc(0, 360, 32)
    for side in (-1, 1):
        x, y = side * 0.43 + 1.1 * pen.yaw, t.eye_y + 0.03
        ring = zip(x + 0.33 * cos, y + 0.26 * sin, strict=True)
        pen.line(ring, frame, 0.035)
        pen.line([(x + side * 0.33, y - 0.05), (side, y - 0.08)], frame, 0.035)
    pen.line([(1.1 * pen.yaw - 0.1, t.eye_y), (1.1 * pen.yaw + 0.1, t.eye_y)], frame, 0.035)


def _background(rng: np.random.Generator) -> Image.Image:
    """A blurred room: a few large blocks of colour, enlarged smoothly."""
    base = rng.uniform(40, 215, 3)
    blocks = np.clip(base + rng.normal(0, 30, (4, 4, 3)) + rng.normal(0, 18, (4, 4, 1)), 0, 255)
    size = SIZE * _ZOOM
    return Image.fromarray(blocks.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)


def _photograph(pen: _Pen) -> Image.Image:
    """Light, tint, blur, noise and, rarely, a black and white film."""
    rng, t = pen.rng, pen.traits
    image = pen.image.reduce(_ZOOM)
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.3))))
    pixels = np.asarray(image, dtype=np.float32)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    dx, dy = (x - pen.centre[0]) / pen.unit, (y - pen.centre[1]) / pen.unit / t.head_height
    radius = np.sqrt(dx**2 + dy**2) + 1e-6
    inside = np.minimum(radius, 1) / radius / 1.15
    normal_x, normal_y = dx * inside, dy * inside
    normal_z = np.sqrt(np.maximum(1 - normal_x**2 - normal_y**2, 0))
    angle, height = rng.uniform(-1.2, 1.2), rng.uniform(-0.7, 0.15)
    towards = np.array([np.sin(angle), height, np.cos(angle)]) / np.hypot(1, height)
    lit = np.maximum(normal_x * towards[0] + normal_y * towards[1] + normal_z * towards[2], 0)
    ambient = rng.uniform(0.5, 0.8)
    light = (ambient + (1.08 - ambient) * lit) * rng.uniform(0.78, 1.15)
    pixels = pixels * light[..., None] * rng.normal(1, 0.035, 3)
    if rng.random() < 0.04:
        pixels = np.repeat(pixels @ np.array([[0.299], [0.587], [0.114]]), 3, axis=2)
    pixels += rng.normal(0, rng.uniform(1, 6), (SIZE, SIZE, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_face(traits: Traits, rng: np.random.Generator) -> Image.Image:
    """Draw one photograph of a person: RGB, `SIZE` × `SIZE` pixels."""
    pen = _Pen(traits, _background(rng), rng)
    for part in (
        _draw_back_hair,
        _draw_head,
        _draw_beard,
        _draw_wrinkles,
        _draw_eyes,
        _draw_nose,
        _draw_mouth,
        _draw_front_hair,
    ):
        part(pen)
    if traits.glasses:
        _draw_glasses(pen)
    return _photograph(pen)
