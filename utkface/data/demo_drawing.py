"""From a drawn person's `Traits` to a face in some pose.

Shapes are polygons and lines in head coordinates: x right, y down, origin at the centre of the
head, one unit half its width.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from utkface.data.demo_photograph import SIZE, ZOOM, background, photograph
from utkface.data.demo_traits import Colour, Traits

_GREY_HAIR = np.array([216.0, 214.0, 212.0])
Points = NDArray[np.float64]  # (n, 2)


def _arc(start: float, end: float, num_points: int = 24) -> tuple[Points, Points]:
    angle = np.radians(np.linspace(start, end, num_points))
    return np.cos(angle), np.sin(angle)


def _shade(colour: Colour, factor: float) -> Colour:
    return np.clip(colour * factor, 0, 255)


class _Pen:
    """Draws in head coordinates under one pose: roll, yaw, size and place of the head."""

    def __init__(self, traits: Traits, paper: Image.Image, rng: np.random.Generator) -> None:
        self.traits, self.rng = traits, rng
        self.paper = paper
        self.draw = ImageDraw.Draw(paper)
        self.unit = float(SIZE * rng.normal(0.325, 0.016))
        self.yaw = float(np.clip(rng.normal(0, 0.09), -0.22, 0.22))  # shift of nose, eyes, mouth
        self.centre = SIZE * np.array([0.5, 0.54]) + rng.normal(0, 4, 2)
        roll = rng.normal(0, np.radians(6))
        cos, sin = np.cos(roll), np.sin(roll)
        self.turn = np.array([[cos, sin], [-sin, cos]])

    def _place(self, points: Points) -> list[float]:
        pixels = (points @ self.turn * self.unit + self.centre) * ZOOM
        return pixels.ravel().tolist()

    def fill(self, points: Points, colour: Colour) -> None:
        self.draw.polygon(self._place(points), fill=tuple(map(int, colour)))

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        cos, sin = _arc(0, 360)
        self.fill(np.column_stack([x + width * cos, y + height * sin]), colour)

    def line(self, points: Iterable[tuple[float, float]], colour: Colour, width: float) -> None:
        pixels = max(1, round(width * self.unit * ZOOM))
        placed = self._place(np.array(list(points), float))
        self.draw.line(placed, fill=tuple(map(int, colour)), width=pixels, joint="curve")

    def band(self, x: Points, top: Points, bottom: Points, colour: Colour) -> None:
        """Fill what lies between two curves over the same x."""
        outline = [np.column_stack([x, top]), np.column_stack([x, bottom])[::-1]]
        self.fill(np.concatenate(outline), colour)


def _head_outline(t: Traits, grow: float = 0.0, start: float = 0, end: float = 360) -> Points:
    """Outline of the head from ``start`` to ``end`` degrees (0 right ear, 90 chin, 270 top)."""
    cos, sin = _arc(start, end, 60)
    low = np.maximum(sin, 0)
    narrowing = 1 - (0.22 - 0.16 * t.jaw - 0.14 * t.cheeks) * low**1.3
    squared = np.sign(cos) * np.abs(cos) ** (1 - 0.3 * t.jaw * low - 0.2 * t.cheeks * low)
    return np.column_stack([squared * narrowing * (1 + grow), sin * t.head_height * (1 + grow)])


def _hair_colour(t: Traits, grey: float) -> Colour:
    mixed = t.hair + (_GREY_HAIR - t.hair) * grey
    return t.skin + (mixed - t.skin) * (0.35 + 0.65 * t.hair_density)


def _strand(pen: _Pen) -> Colour:
    """Colour of one strand: strands turn grey one by one, and differ a little in lightness."""
    grey = pen.traits.grey
    grey += float(pen.rng.uniform(-1.5, 1.5)) * grey * (1 - grey)
    colour = _hair_colour(pen.traits, min(max(grey, 0.0), 1.0))
    return _shade(colour, float(pen.rng.uniform(0.82, 1.15)))


def _draw_back_hair(pen: _Pen) -> None:
    t, colour = pen.traits, _shade(_hair_colour(pen.traits, pen.traits.grey), 0.8)
    if t.hair_length > 0.35:
        down = t.hair_length * t.head_height * 1.45
        cos, sin = _arc(180, 360, 40)
        top = np.column_stack([1.22 * cos, 1.13 * t.head_height * sin])
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
    half = 0.5 + 0.16 * t.jaw - 0.1 * t.cheeks
    neck = np.array([[-half, 0.6], [half, 0.6], [half + 0.1, 1.62], [0, 1.85], [-half - 0.1, 1.62]])
    clothes = pen.rng.uniform(40, 200) + pen.rng.normal(0, 30, 3)
    pen.fill(shoulders, np.clip(clothes, 0, 255))
    pen.fill(neck, shadow)
    for side in (-1, 1):
        ear_x = side * (1.0 - 0.06 * t.cheeks) - 0.35 * pen.yaw
        pen.ellipse(ear_x, t.eye_y + 0.12, 0.12, 0.24 + 0.04 * t.sagging, _shade(t.skin, 0.9))
        pen.ellipse(ear_x, t.eye_y + 0.12, 0.06, 0.14, shadow)
        if t.earrings:
            pen.ellipse(ear_x, t.eye_y + 0.42, 0.045, 0.06, np.array([226.0, 196.0, 110.0]))
    pen.fill(_head_outline(t), t.skin)
    for side in (-1, 1):  # the young have red cheeks
        rosy = t.skin * (1 - 0.1 * t.cheeks) + np.array([230.0, 110.0, 100.0]) * 0.1 * t.cheeks
        pen.ellipse(side * 0.52 + 0.6 * pen.yaw, t.eye_y + 0.42, 0.24, 0.17, rosy)


def _eye_height(t: Traits) -> float:
    return t.eye_size * max(t.eye_openness, 0.2)


def _draw_eyes(pen: _Pen) -> None:
    t, height = pen.traits, _eye_height(pen.traits)
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


def _draw_brows(pen: _Pen) -> None:
    t, span = pen.traits, np.linspace(-1, 1, 9)
    height = t.eye_y - _eye_height(t) - 0.15 - 0.03 * t.lashes
    colour = _shade(_hair_colour(t, t.grey), 0.8)
    for side in (-1, 1):
        outwards = span * side
        arch = height - t.brow_arch * (1 - span**2) + 0.03 * outwards
        arch += 0.05 * t.sagging * (outwards > 0.4)
        thickness = t.brow_thickness * (1.1 - 0.5 * outwards)
        x = side * 0.43 + 1.1 * pen.yaw + 0.27 * span
        pen.band(x, arch - thickness, arch + thickness, colour)


def _draw_nose(pen: _Pen) -> None:
    t, x = pen.traits, 1.5 * pen.yaw
    tip = t.eye_y + 0.1 + t.nose_length
    bridge = [(x * 0.7 - 0.07, t.eye_y + 0.05), (x - t.nose_width * 0.7, tip - 0.05)]
    pen.line(bridge, _shade(t.skin, 0.84), 0.025)
    pen.ellipse(x, tip, t.nose_width, 0.09, _shade(t.skin, 0.92))
    pen.ellipse(x, tip - 0.05, t.nose_width * 0.6, 0.08, _shade(t.skin, 1.06))
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
    lower = curve + opening + 1.25 * t.lip_fullness * round_
    pen.band(x, curve - t.lip_fullness * round_ * bow, lower, t.lips)
    if opening.max() > 0:
        pen.band(x, curve, curve + opening, np.array([242.0, 236.0, 228.0]))
    else:
        pen.line(zip(x, curve, strict=True), _shade(t.lips, 0.62), 0.02)


def _draw_beard(pen: _Pen) -> None:
    t = pen.traits
    if t.beard < 0.05:
        return
    colour = t.skin + (_hair_colour(t, t.grey) - t.skin) * min(t.beard, 0.92)
    outer = _head_outline(t, 0.02 if t.beard > 0.9 else -0.01, -4, 184)
    mouth = _mouth_y(t) - 0.22
    x = np.linspace(-1, 1, 25)
    upper_edge = mouth + 0.3 * (np.abs(x) - 0.45) ** 2 - 0.35 * x**6
    pen.fill(np.vstack([outer, np.column_stack([0.84 * x + pen.yaw, upper_edge])]), colour)


def _draw_wrinkles(pen: _Pen) -> None:
    t, span = pen.traits, np.linspace(-1, 1, 13)

    def crease(points: Iterable[tuple[float, float]], strength: float) -> None:
        moved = [(pen.yaw + x, y) for x, y in points]
        pen.line(moved, _shade(t.skin, 1 - 0.34 * min(strength, 1.0)), 0.021)

    for i in range(round(4.4 * t.wrinkles)):  # forehead
        y = t.eye_y - 0.52 - 0.13 * i + 0.025 * np.cos(3 * span + i)
        crease(zip(0.55 * span, y, strict=True), 0.85 * t.wrinkles)
    nose, mouth = t.eye_y + 0.1 + t.nose_length, _mouth_y(t)
    for side in (-1, 1) if t.wrinkles > 0.03 else ():
        fold = [(0.2, nose - 0.04), (0.36, nose + 0.12), (0.44, mouth), (0.42, mouth + 0.1)]
        crease([(side * x, y) for x, y in fold], t.wrinkles)
        bag = t.eye_y + 0.2 + 0.05 * (1 - span**2)
        crease(zip(side * (0.43 + 0.2 * span), bag, strict=True), 0.9 * t.wrinkles)
        for i in range(round(3 * t.wrinkles)):  # crow's feet
            ends = [(0.67, t.eye_y + 0.01 * i), (0.84, t.eye_y - 0.12 + 0.13 * i)]
            crease([(side * x, y) for x, y in ends], 0.7 * t.wrinkles)
        if t.sagging > 0.2:
            jowl = [(0.4, mouth + 0.06), (0.46, mouth + 0.16), (0.4, mouth + 0.25)]
            crease([(side * x, y) for x, y in jowl], 0.8 * t.sagging)


def _draw_age_spots(pen: _Pen) -> None:
    t = pen.traits
    for _ in range(t.num_spots):
        x, y = pen.rng.uniform(-0.75, 0.75), pen.rng.uniform(-0.85, 0.68)
        size = pen.rng.uniform(0.015, 0.04)
        pen.ellipse(x, y * t.head_height, size, size, _shade(t.skin, 0.8))


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
    edge = np.column_stack([x + 0.3 * pen.yaw, hairline])
    pen.fill(np.vstack([cap, edge]), _hair_colour(t, t.grey))
    for i in pen.rng.integers(4, len(x) - 4, round(80 * t.hair_density)):  # strands
        top = -t.head_height * 1.05 * np.sqrt(1 - (0.95 * x[i]) ** 2)
        if hairline[i] - top > 0.1:
            middle = (0.97 * x[i] + 0.03 * parting, 0.5 * (top + hairline[i]))
            root = (0.8 * x[i] + 0.2 * parting, top)
            pen.line([root, middle, (x[i], hairline[i])], _strand(pen), 0.02)
    if t.curly and t.hair_density > 0.6:
        _draw_curls(pen, reach=0.1, colour_factor=1.05)


def _draw_glasses(pen: _Pen) -> None:
    t, frame = pen.traits, pen.rng.uniform(15, 90, 3)
    if not t.glasses:
        return
    cos, sin = _arc(0, 360, 32)
    for side in (-1, 1):
        x, y = side * 0.43 + 1.1 * pen.yaw, t.eye_y + 0.03
        ring = zip(x + 0.33 * cos, y + 0.26 * sin, strict=True)
        pen.line(ring, frame, 0.035)
        pen.line([(x + side * 0.33, y - 0.05), (side, y - 0.08)], frame, 0.035)
    pen.line([(1.1 * pen.yaw - 0.1, t.eye_y), (1.1 * pen.yaw + 0.1, t.eye_y)], frame, 0.035)


_PARTS = (  # from the back to the front
    _draw_back_hair,
    _draw_head,
    _draw_beard,
    _draw_wrinkles,
    _draw_age_spots,
    _draw_eyes,
    _draw_brows,
    _draw_nose,
    _draw_mouth,
    _draw_front_hair,
    _draw_glasses,
)


def draw_face(traits: Traits, rng: np.random.Generator) -> Image.Image:
    """Draw one photograph of a person: RGB, `SIZE` × `SIZE` pixels."""
    pen = _Pen(traits, background(rng), rng)
    for draw_part in _PARTS:
        draw_part(pen)
    return photograph(pen.paper, pen.centre, pen.unit, pen.unit * traits.head_height, rng)
