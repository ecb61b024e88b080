"""Drawn faces in the UTKFace naming, to show and test the system where there are no photographs.

A face is some polygons whose shapes and colours follow age, gender and race with much chance, so
that no single trait gives a label away: some women wear short hair, some men are bald at thirty,
skin tones of the groups overlap, and a person looks some years older or younger than they are.
Pose, background, light, blur and noise make a photograph of the drawing.

Ages follow UTKFace's (young adults common, the old rare), and, as in UTKFace, some pictures are
there twice, byte for byte or saved again, a few of them with another label.
"""

import io
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

SIZE = 200  # pixels
_ZOOM = 3  # drawn at three times the size and averaged down, which is antialiasing

# UTKFace's own counts: first and last age of a range, faces in it.
_AGES = (
    *((1, 2, 1605), (3, 9, 1457), (10, 19, 1530), (20, 29, 7342), (30, 39, 4535), (40, 49, 2245)),
    *((50, 59, 2298), (60, 69, 1316), (70, 79, 699), (80, 89, 504), (90, 100, 169)),
)
_FEMALE_SHARE = 0.477
_RACE_SHARES = (0.425, 0.191, 0.145, 0.168, 0.071)
_COPY_EVERY = 25  # of 25 faces the last is a copy of the first
_FIRST_DATE = datetime(2017, 1, 9, 15, 5, 57)

Colour = NDArray[np.float64]  # RGB, 0 to 255
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # (n,) each: x and y of its points

# By race: White, Black, Asian, Indian, Other. Skin: the lightest and the darkest usual tone.
_SKIN = (
    ((247, 221, 203), (221, 176, 148)),
    ((148, 98, 70), (78, 50, 38)),
    ((244, 214, 180), (217, 172, 130)),
    ((192, 142, 106), (132, 88, 61)),
    ((228, 182, 145), (158, 110, 78)),
)
# Black and dark brown; brown, red and blond only of the first race.
_HAIR = ((27, 22, 21), (58, 39, 28), (108, 72, 45), (146, 74, 40), (206, 170, 108))
_GREY = (216, 214, 212)
_WHITE, _LIPS = np.full(3, 245.0), (176, 52, 62)


def write_demo_faces(folder: Path, num_faces: int = 600, seed: int = 0) -> None:
    """Write ``num_faces`` drawn faces, 200×200 JPEGs, into ``folder``, made if it is not there.

    The same ``seed`` gives the same bytes with the same Pillow and NumPy, and the first faces do
    not depend on ``num_faces``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shares = np.array([count for *_, count in _AGES]) / sum(count for *_, count in _AGES)
    for number in range(num_faces):
        copy = number // _COPY_EVERY if number % _COPY_EVERY == _COPY_EVERY - 1 else None
        rng = np.random.default_rng([seed, number if copy is None else number - _COPY_EVERY + 1])
        first, last, _ = _AGES[rng.choice(len(_AGES), p=shares)]
        age = int(rng.integers(first, last + 1))
        gender, race = int(rng.random() < _FEMALE_SHARE), int(rng.choice(5, p=_RACE_SHARES))
        jpeg = _jpeg(draw_face(age, gender, race, rng), int(rng.integers(80, 93)))
        if copy is not None:  # identical or saved again in turn; every other two have another age
            jpeg = _jpeg(Image.open(io.BytesIO(jpeg)), 60) if copy % 2 else jpeg
            age += 3 if copy % 4 >= 2 else 0
        # Seven and a bit seconds apart, so that dates differ down to the millisecond.
        date = _FIRST_DATE + timedelta(milliseconds=7_357 * number)
        stamp = date.strftime("%Y%m%d%H%M%S") + f"{date.microsecond // 1000:03d}"
        (folder / f"{age}_{gender}_{race}_{stamp}.jpg.chip.jpg").write_bytes(jpeg)


def draw_face(age: int, gender: int, race: int, rng: np.random.Generator) -> Image.Image:
    """Draw somebody of ``age`` years; gender 0 male, 1 female; race 0 to 4. RGB, `SIZE` pixels."""
    person, pen = _Person(age, gender, race, rng), _Pen(rng)
    for draw_part in (_long_hair, _head, _wrinkles, _eyes, _nose_and_mouth, _short_hair):
        draw_part(pen, person, rng)
    return _photograph(pen, rng)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _mix(first: ArrayLike, second: ArrayLike, share: float) -> Colour:
    return (1 - share) * np.asarray(first, float) + share * np.asarray(second, float)


def _ramp(age: float, start: float, end: float) -> float:
    """0 before ``start``, 1 after ``end``, smooth between."""
    x = min(max((age - start) / (end - start), 0.0), 1.0)
    return x * x * (3 - 2 * x)


class _Person:
    """Somebody's looks; lengths in half head widths, shares from 0 to 1."""

    def __init__(self, age: int, gender: int, race: int, rng: np.random.Generator) -> None:
        looks = age * rng.lognormal(0, 0.07) + rng.normal(0, 0.6)  # apparent age
        # How far from a newborn's proportions to an adult's, through puberty, and to old age.
        self.grown = 0.6 * _ramp(looks, -4, 12) + 0.4 * _ramp(looks, 8, 20)
        self.adult, self.old = _ramp(looks, 11, 19), _ramp(looks, 28, 84)
        woman = 0.5 + (gender - 0.5) * (0.35 + 0.65 * self.adult) + rng.normal(0, 0.12)
        self.woman = float(np.clip(woman, 0, 1))
        self.skin = _mix(*_SKIN[race], rng.beta(2, 2))
        hair = np.array(_HAIR[rng.integers(2 if race else 5)]) * rng.uniform(0.85, 1.15)
        self.hair = _mix(hair, _GREY, np.clip(_ramp(looks, 33, 76) * rng.normal(1, 0.2), 0, 1))
        is_long = rng.random() < 0.08 + 0.78 * gender * _ramp(looks, 1, 8) * (1 - 0.45 * self.old)
        self.hair_length = rng.uniform(0.6, 1) if is_long else 0.0  # 1 falls on the shoulders
        balding = (1 - gender) * _ramp(looks, 24, 75) * rng.uniform(0, 1.25)
        baby = 1 - _ramp(looks, 0, 2.5)  # in half head heights, 1 is the top of the head:
        self.hairline = 0.58 + 0.12 * (1 - self.woman) + 0.45 * balding + 0.25 * baby
        is_bearded = gender == 0 and rng.random() < 0.45 * self.adult
        shaven = 0.07 * self.adult * (1 - gender)
        self.beard = rng.choice((0.35, 0.6, 0.92)) if is_bearded else shaven  # opacity
        self.head_height = rng.normal(1.1 + 0.2 * self.grown, 0.03)  # half of it
        square = 0.45 * self.adult * (1 - self.woman)
        self.jaw = rng.normal(0.85 - 0.6 * self.grown + square + 0.15 * self.old, 0.08)
        self.eye_y = rng.normal(0.27 - 0.25 * self.grown, 0.02)
        self.nose_y = self.eye_y + rng.normal(0.34 + 0.22 * self.grown + 0.05 * self.old, 0.02)
        self.mouth_y = 0.5 * self.nose_y + 0.47 * self.head_height


class _Pen:
    """Draws in head coordinates under one pose: roll, yaw, size and place of the head.

    x right, y down, origin at the centre of the head, one unit half its width.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        base = rng.uniform(45, 215) + rng.normal(0, 24, 3)
        blocks = base + rng.normal(0, 10, (4, 4, 3)) + rng.normal(0, 26, (4, 4, 1))
        room = Image.fromarray(np.clip(blocks, 0, 255).astype(np.uint8))  # seen out of focus
        self.paper = room.resize((SIZE * _ZOOM, SIZE * _ZOOM), Image.Resampling.BICUBIC)
        self._draw = ImageDraw.Draw(self.paper)
        self._unit = SIZE * _ZOOM * rng.normal(0.325, 0.016)  # pixels
        self._centre = _ZOOM * (SIZE * np.array([0.5, 0.54]) + rng.normal(0, 4, 2))
        roll = rng.normal(0, np.radians(6))
        self._turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        self.yaw = float(np.clip(rng.normal(0, 0.09), -0.22, 0.22))  # shift of nose, eyes, mouth

    def fill(self, x: ArrayLike, y: ArrayLike, colour: Colour) -> None:
        self._draw.polygon(self._place(x, y), _ink(colour))

    def line(self, x: ArrayLike, y: ArrayLike, colour: Colour, width: float) -> None:
        pixels = max(1, round(width * self._unit))
        self._draw.line(self._place(x, y), _ink(colour), pixels, joint="curve")

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        cos, sin = _arc(0, 360)
        self.fill(x + width * cos, y + height * sin, colour)

    def _place(self, x: ArrayLike, y: ArrayLike) -> list[float]:
        points = np.column_stack(np.broadcast_arrays(x, y)) @ self._turn
        return (points * self._unit + self._centre).ravel().tolist()


def _ink(colour: Colour) -> tuple[int, ...]:
    return tuple(np.clip(colour, 0, 255).astype(int).tolist())


def _arc(start: float, end: float) -> Curve:
    """Return the part of the unit circle between two angles in degrees."""
    angle = np.radians(np.linspace(start, end, 40))
    return np.cos(angle), np.sin(angle)


def _outline(person: _Person, size: float, start: float, end: float) -> Curve:
    """Return the head's outline between two angles in degrees: 0 right ear, 90 chin."""
    cos, sin = _arc(start, end)
    narrowing = 1 - (0.22 - 0.2 * person.jaw) * np.maximum(sin, 0) ** 1.3
    return size * cos * narrowing, size * sin * person.head_height


def _long_hair(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """Hair behind the head, or of the bald beside it."""
    if person.hair_length:
        down = person.hair_length * person.head_height * 1.45
        cos, sin = _arc(180, 360)
        sides = (1.3, 1.12, -1.12, -1.3), (0.5 * down, down, down, 0.5 * down)
        top = 1.13 * person.head_height * sin
        pen.fill([*1.22 * cos, *sides[0]], [*top, *sides[1]], 0.8 * person.hair)
    elif person.hairline > 0.98:
        for side in (-1, 1):
            pen.ellipse(0.93 * side, -0.12, 0.15, 0.36, 0.8 * person.hair)


def _head(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    clothes = rng.uniform(40, 200) + rng.normal(0, 30, 3)
    pen.fill([-2.2, -1.7, -0.5, 0.5, 1.7, 2.2], [3, 1.75, 1.5, 1.5, 1.75, 3], clothes)
    pen.fill([-0.5, 0.5, 0.6, 0, -0.6], [0.6, 0.6, 1.62, 1.85, 1.62], 0.78 * person.skin)
    for side in (-1, 1):
        pen.ellipse(side - 0.35 * pen.yaw, person.eye_y + 0.12, 0.12, 0.24, 0.9 * person.skin)
    pen.fill(*_outline(person, 1, 0, 360), person.skin)
    if person.beard > 0.05:
        x, y = _outline(person, 0.99, -4, 184)
        span = np.linspace(-1, 1, 25)
        upper = person.mouth_y - 0.22 + 0.3 * (np.abs(span) - 0.45) ** 2 - 0.35 * span**6
        colour = _mix(person.skin, person.hair, person.beard)
        pen.fill([*x, *0.84 * span + pen.yaw], [*y, *upper], colour)


def _wrinkles(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """Lines on the forehead, from nose to mouth, and bags under the eyes."""
    span, strength = np.linspace(-1, 1, 13), person.old * rng.uniform(0.8, 1.2)
    colour = (1 - 0.34 * strength) * person.skin
    for i in range(round(4.4 * strength)):
        y = person.eye_y - 0.52 - 0.13 * i + 0.025 * np.cos(3 * span + i)
        pen.line(0.55 * span + pen.yaw, y, colour, 0.021)
    for side in (-1, 1):
        fold = pen.yaw + side * np.array([0.2, 0.36, 0.44, 0.42])
        nose, mouth = person.nose_y, person.mouth_y
        pen.line(fold, [nose - 0.04, nose + 0.12, mouth, mouth + 0.1], colour, 0.021)
        bag = pen.yaw + side * (0.43 + 0.2 * span)
        pen.line(bag, person.eye_y + 0.25 - 0.05 * span**2, colour, 0.021)


def _eyes(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """Eyes, brows and glasses."""
    lashes = 0.25 + 0.75 * person.woman * person.adult
    width = rng.normal(0.26 - 0.075 * person.grown - 0.02 * person.old, 0.008)
    height = width * max(rng.normal(0.7 - 0.1 * person.grown - 0.16 * person.old, 0.06), 0.2)
    thickness = 0.03 + 0.035 * person.adult * (1 - person.woman) + rng.normal(0.008, 0.005)
    has_glasses = rng.random() < 0.03 + 0.1 * person.adult + 0.22 * person.old
    iris, frame = rng.uniform(40, 120) * np.array([1, 0.7, 0.5]), rng.uniform(15, 90, 3)
    lid, ring, span = _arc(180, 360), _arc(0, 360), np.linspace(-1, 1, 9)
    for side in (-1, 1):
        x, y = side * 0.43 + 1.1 * pen.yaw, person.eye_y
        pen.ellipse(x, y, width, height, _WHITE)
        pen.ellipse(x, y, 0.5 * width, min(0.5 * width, height), iris)
        pen.ellipse(x, y, 0.24 * width, 0.24 * width, 0.05 * _WHITE)
        lid_colour = (0.72 - 0.54 * lashes) * person.skin
        pen.line(x + 1.05 * width * lid[0], y + height * lid[1], lid_colour, 0.02 + 0.03 * lashes)
        arch = y - height - 0.15 - 0.03 * lashes - 0.08 * (1 - span**2) + 0.03 * span * side
        pen.line(x + 0.27 * span, arch, 0.8 * person.hair, 2 * thickness)
        if has_glasses:
            pen.line(x + 0.33 * ring[0], y + 0.03 + 0.26 * ring[1], frame, 0.035)
            pen.line([x + side * 0.33, side], [y - 0.02, y - 0.05], frame, 0.035)


def _nose_and_mouth(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    x, tip = 1.5 * pen.yaw, person.nose_y
    width = rng.normal(0.13 + 0.05 * person.grown + 0.03 * person.old, 0.015)
    bridge = [0.7 * x - 0.07, x - 0.7 * width]
    pen.line(bridge, [person.eye_y + 0.05, tip - 0.05], 0.84 * person.skin, 0.025)
    pen.ellipse(x, tip, width, 0.09, 0.9 * person.skin)
    for side in (-1, 1):
        pen.ellipse(x + side * 0.55 * width, tip + 0.035, 0.045, 0.025, 0.5 * person.skin)
    smile, span = rng.uniform(-0.25, 1), np.linspace(-1, 1, 21)
    along = 1.2 * pen.yaw + rng.normal(0.27 + 0.1 * person.grown, 0.03) * span
    curve, bow = person.mouth_y - 0.1 * smile * span**2, 1 - span**2
    opening = max(0.0, smile - 0.45) * 0.16 * bow
    lip = rng.normal(0.075 + 0.03 * person.woman * person.adult - 0.03 * person.old, 0.01) * bow
    red = 0.35 + 0.25 * person.woman * person.adult * rng.uniform(0.3, 1.6)
    around = [*along, *along[::-1]]
    lower = curve + opening + 1.25 * lip
    pen.fill(around, [*curve - lip, *lower[::-1]], _mix(person.skin, _LIPS, red))
    pen.fill(around, [*curve, *(curve + opening)[::-1]], _WHITE)


def _short_hair(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """The cap of hair between the outline of the head and the hairline; the bald have none."""
    if person.hairline > 0.98:
        return
    parting, fringe = rng.uniform(-0.5, 0.5), rng.uniform(0, 0.25)
    x = np.linspace(0.97, -0.97, 31)
    line = -person.head_height * (person.hairline - fringe * np.cos(1.6 * (x - parting)))
    line += (-0.12 * person.head_height - line) * np.abs(x) ** 6  # meets the ears
    cap_x, cap_y = _outline(person, 1.08, 188, 352)
    pen.fill([*cap_x, *x + 0.3 * pen.yaw], [*cap_y, *line], person.hair)


def _photograph(pen: _Pen, rng: np.random.Generator) -> Image.Image:
    """Average the drawing down and give it light from a side, a colour cast, blur and noise."""
    image = pen.paper.reduce(_ZOOM)
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.3)))
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    light = 1 + rng.uniform(-0.35, 0.35) * x + rng.uniform(-0.25, 0.1) * y
    pixels = np.asarray(image) * (light * rng.uniform(0.7, 1.1))[..., None] * rng.normal(1, 0.03, 3)
    if rng.random() < 0.04:  # a black and white film
        pixels = np.repeat(pixels @ [[0.299], [0.587], [0.114]], 3, axis=2)
    pixels = pixels + rng.standard_normal((SIZE, SIZE, 1)) * rng.uniform(1, 6)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
