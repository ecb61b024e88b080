"""Drawn faces in the UTKFace naming, to show and test the system where there are no photographs.

A face is some thirty ellipses and arcs, whose sizes and colours follow age, gender and race with
much chance, so that no single trait gives a label away: some women wear short hair, some men are
bald at thirty, skin tones overlap, and a person looks some years older or younger than they are.
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
    for draw_part in (_draw_head, _draw_wrinkles_and_hair, _draw_eyes, _draw_nose_and_mouth):
        draw_part(pen, person, rng)
    return _photograph(pen.layer, rng)


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
        looks = age * rng.lognormal(0, 0.04) + rng.normal(0, 0.5)  # apparent age
        # How far from a newborn's proportions to an adult's, through puberty, and to old age.
        self.grown = 0.6 * _ramp(looks, -4, 12) + 0.4 * _ramp(looks, 8, 20)
        self.adult, self.old = _ramp(looks, 11, 19), _ramp(looks, 28, 84)
        woman = 0.5 + (gender - 0.5) * (0.35 + 0.65 * self.adult) + rng.normal(0, 0.08)
        self.woman = float(np.clip(woman, 0, 1))
        self.skin = _mix(*_SKIN[race], rng.beta(2, 2))
        hair = np.array(_HAIR[rng.integers(2 if race else 5)]) * rng.uniform(0.85, 1.15)
        self.hair = _mix(hair, _GREY, np.clip(_ramp(looks, 28, 76) * rng.normal(1, 0.1), 0, 1))
        is_long = rng.random() < 0.05 + 0.85 * gender * _ramp(looks, 1, 8) * (1 - 0.3 * self.old)
        self.hair_length = rng.uniform(0.2, 0.6) if is_long else 0.0  # how far it hangs
        balding = (1 - gender) * _ramp(looks, 24, 75) * rng.uniform(0, 1.25)
        baby = 1 - _ramp(looks, 0, 2.5)
        hairline = 0.5 + 0.12 * (1 - self.woman) + 0.45 * balding + 0.25 * baby
        self.hairline = hairline + rng.uniform(-0.1, 0.1)  # 1 is the top of the head
        is_bearded = gender == 0 and rng.random() < 0.55 * self.adult
        shaven = 0.07 * self.adult * (1 - gender)
        self.beard = rng.choice((0.35, 0.6, 0.92)) if is_bearded else shaven  # opacity
        self.head_height = rng.normal(1.1 + 0.2 * self.grown, 0.03)  # half of it
        square = 0.45 * self.adult * (1 - self.woman)
        self.jaw = rng.normal(0.85 - 0.6 * self.grown + square + 0.15 * self.old, 0.08)
        self.eye_y = rng.normal(0.27 - 0.25 * self.grown, 0.02)
        self.nose_y = self.eye_y + rng.normal(0.34 + 0.22 * self.grown + 0.05 * self.old, 0.02)
        self.mouth_y = 0.5 * self.nose_y + 0.47 * self.head_height


class _Pen:
    """Draws on a clear layer: x right, y down, origin amid the head, one unit half its width."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.layer = Image.new("RGBA", (SIZE * _ZOOM, SIZE * _ZOOM))
        self._draw = ImageDraw.Draw(self.layer)
        self._unit = SIZE * _ZOOM * rng.normal(0.325, 0.016)  # pixels
        self.yaw = float(np.clip(rng.normal(0, 0.09), -0.22, 0.22))  # shift of nose, eyes, mouth

    def fill(
        self, x: float, y: float, width: float, height: float, colour: Colour,
        start: float = 0, end: float = 360,
    ) -> None:  # fmt: skip
        """Fill an ellipse, or what a chord cuts from it between two angles in degrees."""
        self._draw.chord(self._box(x, y, width, height), start, end, _ink(colour))

    def arc(
        self, x: float, y: float, width: float, height: float, colour: Colour,
        thickness: float, start: float = 0, end: float = 360,
    ) -> None:  # fmt: skip
        """Draw an ellipse's line between two angles: 0 is right, 90 below."""
        pixels = max(1, round(thickness * self._unit))
        self._draw.arc(self._box(x, y, width, height), start, end, _ink(colour), pixels)

    def _box(self, x: float, y: float, width: float, height: float) -> list[float]:
        corners = np.array([x - width, y - height, x + width, y + height])
        return (corners * self._unit + SIZE * _ZOOM / 2).tolist()


def _ink(colour: Colour) -> tuple[int, ...]:
    return tuple(np.clip(colour, 0, 255).astype(int).tolist())


def _draw_head(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """Long hair, clothes, neck, ears, head and beard."""
    skin, hair, height = person.skin, person.hair, person.head_height
    if person.hair_length:
        pen.fill(0, person.hair_length, 1.25, 1.15 * height, 0.8 * hair)
    pen.fill(0, 2.5, 2, 0.9, rng.uniform(40, 200) + rng.normal(0, 30, 3))
    pen.fill(0, 1.1, 0.5, 0.8, 0.78 * skin)
    for side in (-1, 1):
        pen.fill(side - 0.35 * pen.yaw, person.eye_y + 0.12, 0.12, 0.24, 0.9 * skin)
    pen.fill(0, 0, 1, height, skin)
    jaw = 0.6 + 0.3 * person.jaw
    pen.fill(0, 0.4 * height, jaw, 0.6 * height, skin)
    if person.beard > 0.05:
        colour = _mix(skin, hair, person.beard)
        pen.fill(0, 0, 1, height, colour, 20, 160)
        pen.fill(0, 0.4 * height, jaw, 0.6 * height, colour, 0, 180)


def _draw_wrinkles_and_hair(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """Lines on the forehead, from nose to mouth, bags under the eyes; what grows above them."""
    strength = person.old * rng.uniform(0.9, 1.1)
    colour = (1 - 0.4 * strength) * person.skin
    for i in range(round(4.4 * strength)):
        pen.arc(pen.yaw, person.eye_y - 0.42 - 0.13 * i, 0.6, 0.1, colour, 0.021, 200, 340)
    for side in (-1, 1):
        fold_y = (person.nose_y + person.mouth_y) / 2
        pen.arc(pen.yaw, fold_y, 0.44, 0.3, colour, 0.021, *((-50, 50) if side > 0 else (130, 230)))
        pen.arc(pen.yaw + 0.43 * side, person.eye_y + 0.1, 0.2, 0.15, colour, 0.021, 20, 160)
    if person.hairline < 0.98:  # else bald
        angle = np.degrees(np.arcsin(person.hairline / 1.08)) + rng.normal(0, 4, 2)
        top = 1.08 * person.head_height
        pen.fill(0, 0, 1.08, top, person.hair, 180 + angle[0], 360 - angle[1])


def _draw_eyes(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    """Eyes, brows and glasses."""
    lashes = 0.25 + 0.75 * person.woman * person.adult
    width = rng.normal(0.26 - 0.075 * person.grown - 0.02 * person.old, 0.008)
    height = width * max(rng.normal(0.7 - 0.1 * person.grown - 0.16 * person.old, 0.06), 0.2)
    brow = 0.06 + 0.07 * person.adult * (1 - person.woman) + rng.normal(0.016, 0.01)
    has_glasses = rng.random() < 0.03 + 0.1 * person.adult + 0.22 * person.old
    iris, frame = rng.uniform(40, 120) * np.array([1, 0.7, 0.5]), rng.uniform(15, 90, 3)
    lid = (0.72 - 0.54 * lashes) * person.skin
    for side in (-1, 1):
        x, y = side * 0.43 + 1.1 * pen.yaw, person.eye_y
        pen.fill(x, y, width, height, _WHITE)
        pen.fill(x, y, 0.5 * width, min(0.5 * width, height), iris)
        pen.fill(x, y, 0.24 * width, 0.24 * width, 0.05 * _WHITE)
        pen.arc(x, y, 1.1 * width, 1.1 * height, lid, 0.02 + 0.03 * lashes, 180, 360)
        pen.arc(x, y - height - 0.1, 0.28, 0.12, 0.8 * person.hair, brow, 205, 335)
        if has_glasses:
            pen.arc(x, y + 0.03, 0.33, 0.26, frame, 0.035)
            pen.arc(x + side * 0.45, y, 0.13, 0.01, frame, 0.035)


def _draw_nose_and_mouth(pen: _Pen, person: _Person, rng: np.random.Generator) -> None:
    width = rng.normal(0.13 + 0.05 * person.grown + 0.03 * person.old, 0.015)
    pen.fill(1.5 * pen.yaw, person.nose_y - 0.03, width, 0.1, 0.92 * person.skin)
    pen.arc(1.5 * pen.yaw, person.nose_y - 0.03, width, 0.1, 0.7 * person.skin, 0.025, 20, 160)
    x, width = 1.2 * pen.yaw, rng.normal(0.27 + 0.1 * person.grown, 0.03)
    lip = rng.normal(0.09 + 0.04 * person.woman * person.adult - 0.03 * person.old, 0.01)
    red = 0.35 + 0.25 * person.woman * person.adult * rng.uniform(0.3, 1.6)
    colour, smile = _mix(person.skin, _LIPS, red), rng.uniform(-0.25, 1)
    pen.fill(x, person.mouth_y, width, lip, colour)
    if smile > 0.45:
        pen.fill(x, person.mouth_y, width, 0.25 * smile, colour, 0, 180)
        pen.fill(x, person.mouth_y, 0.9 * width, 0.16 * smile, _WHITE, 0, 180)
    else:
        pen.arc(x, person.mouth_y, width, 0.02, 0.6 * colour, 0.02)


def _photograph(layer: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Turn a drawing before a room out of focus; give it light, a colour cast, blur and noise."""
    base = rng.uniform(45, 215) + rng.normal(0, 24, 3)
    blocks = base + rng.normal(0, 10, (4, 4, 3)) + rng.normal(0, 26, (4, 4, 1))
    room = Image.fromarray(np.clip(blocks, 0, 255).astype(np.uint8))
    room = room.resize(layer.size, Image.Resampling.BICUBIC)
    place = tuple(_ZOOM * rng.normal((0, 0.04 * SIZE), 4))
    layer = layer.rotate(rng.normal(0, 6), Image.Resampling.BILINEAR, translate=place)
    room.paste(layer, mask=layer)
    image = room.reduce(_ZOOM)
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.3)))
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    light = 1 + rng.uniform(-0.35, 0.35) * x + rng.uniform(-0.25, 0.1) * y
    pixels = np.asarray(image) * (light * rng.uniform(0.7, 1.1))[..., None] * rng.normal(1, 0.03, 3)
    if rng.random() < 0.04:  # a black and white film
        pixels = np.repeat(pixels @ [[0.299], [0.587], [0.114]], 3, axis=2)
    pixels = pixels + rng.standard_normal((SIZE, SIZE, 1)) * rng.uniform(1, 6)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
