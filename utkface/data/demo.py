"""Drawn faces in the UTKFace naming, to show and test the system where there are no photographs.

A person's `Traits` are smooth functions of age, gender and race plus chance, so that no single
trait gives a label away: some women wear short hair, some men are bald at thirty, skin tones of the
groups overlap, and a person looks some years older or younger than they are. They are drawn as
polygons, and pose, background, light, blur and noise make a photograph of the drawing.

Ages follow UTKFace's (young adults common, the old rare), and, as in UTKFace, some pictures are
there twice, byte for byte or saved again, a few of them with another label.
"""

import io
from dataclasses import dataclass
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

# By race: White, Black, Asian, Indian, Other. Skin: the lightest and the darkest usual tone.
_SKIN = (
    ((247, 221, 203), (221, 176, 148)),
    ((148, 98, 70), (78, 50, 38)),
    ((244, 214, 180), (217, 172, 130)),
    ((192, 142, 106), (132, 88, 61)),
    ((228, 182, 145), (158, 110, 78)),
)
_BLACK, _DARK_BROWN, _BROWN = (27, 22, 21), (58, 39, 28), (108, 72, 45)
_BLOND, _RED, _GREY = (206, 170, 108), (146, 74, 40), (216, 214, 212)
_HAIR = (
    (_BLOND, _BROWN, _BROWN, _DARK_BROWN, _RED),
    (_BLACK, _BLACK, _DARK_BROWN),
    (_BLACK, _BLACK, _BLACK, _DARK_BROWN),
    (_BLACK, _BLACK, _DARK_BROWN),
    (_BLACK, _DARK_BROWN, _BROWN),
)
_BROWN_EYES = ((74, 46, 28), (48, 30, 22))
_EYES = (((92, 128, 160), (96, 122, 90), (104, 70, 40), (74, 46, 28)), *[_BROWN_EYES] * 4)
_CURLY = (0.12, 0.75, 0.04, 0.08, 0.35)  # probability of curly hair

Colour = NDArray[np.float64]  # RGB, 0 to 255
Curve = NDArray[np.float64]  # (n,): the x or the y of its points

_WHITE = np.full(3, 252.0)


@dataclass(frozen=True)
class Traits:
    """One person's appearance; lengths in half head widths, strengths from 0 to 1."""

    skin: Colour
    hair: Colour
    grey: float  # share of strands that are grey
    iris: Colour
    lips: Colour
    head_height: float  # half height of the head
    jaw: float  # squareness of the jaw
    eye_y: float
    eye_size: float
    eye_openness: float
    brow_thickness: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    smile: float
    hair_length: float  # below 0.35 ends above the ears, 1 falls on the shoulders
    hairline: float  # height of the hairline in half head heights, 1 = top of the head
    curly: bool
    beard: float
    wrinkles: float
    lashes: float
    glasses: bool


def draw_traits(age: int, gender: int, race: int, rng: np.random.Generator) -> Traits:
    """Draw the appearance of a person of ``age`` years; gender 0 male, 1 female; race 0 to 4."""
    looks = age * float(np.exp(rng.normal(0, 0.07))) + float(rng.normal(0, 0.6))  # apparent age
    grown = 0.6 * _ramp(looks, -4, 12) + 0.4 * _ramp(looks, 8, 20)
    adult, old = _ramp(looks, 11, 19), _ramp(looks, 32, 85)
    woman = 0.5 + (gender - 0.5) * (0.35 + 0.65 * adult) + rng.normal(0, 0.12)  # 0 man .. 1 woman
    woman = float(np.clip(woman, 0, 1))
    skin = _mix(*_SKIN[race], rng.beta(2, 2))
    long_hair = rng.random() < 0.08 + 0.78 * gender * _ramp(looks, 1, 8) * (1 - 0.45 * old)
    balding = (1 - gender) * _ramp(looks, 24, 75) * rng.uniform(0, 1.25)
    bearded = gender == 0 and rng.random() < 0.45 * adult

    def about(mean: float, spread: float) -> float:
        return mean + float(rng.normal(0, spread))

    openness = (0.62 - 0.16 * old + 0.1 * (1 - grown)) * (0.74 if race == 2 else 1.0)
    return Traits(
        skin=skin,
        hair=np.array(_HAIR[race][rng.integers(len(_HAIR[race]))]) * rng.uniform(0.85, 1.15),
        grey=float(np.clip(_ramp(looks, 33, 76) * about(1, 0.2), 0, 1)),
        iris=np.array(_EYES[race][rng.integers(len(_EYES[race]))], float),
        lips=_mix(skin, (176, 52, 62), 0.35 + 0.25 * woman * adult * rng.uniform(0.3, 1.6)),
        head_height=about(1.1 + 0.2 * grown, 0.03),
        jaw=about(0.85 - 0.6 * grown + 0.45 * adult * (1 - woman) + 0.15 * old, 0.08),
        eye_y=about(0.27 - 0.25 * grown, 0.02),
        eye_size=about(0.26 - 0.075 * grown - 0.02 * old, 0.008),
        eye_openness=max(about(openness, 0.04), 0.2),
        brow_thickness=about(0.03 + 0.035 * adult * (1 - woman) + 0.008 * grown, 0.005),
        nose_length=about(0.24 + 0.22 * grown + 0.05 * old, 0.02),
        nose_width=about(0.13 + 0.05 * grown + 0.03 * old + 0.02 * (1 - woman), 0.015),
        mouth_width=about(0.27 + 0.1 * grown, 0.03),
        lip_fullness=about(0.075 + 0.03 * woman * adult - 0.03 * old, 0.01),
        smile=rng.uniform(-0.25, 1),
        hair_length=rng.uniform(0.6, 1.0) if long_hair else rng.uniform(0.0, 0.3),
        hairline=0.58 + 0.12 * (1 - woman) + 0.45 * balding + 0.25 * (1 - _ramp(looks, 0, 2.5)),
        curly=rng.random() < _CURLY[race],
        beard=float(rng.choice((0.35, 0.6, 1.0))) if bearded else 0.07 * adult * (1 - gender),
        wrinkles=float(np.clip(_ramp(looks, 26, 82) * rng.uniform(0.8, 1.2), 0, 1)),
        lashes=0.25 + 0.75 * woman * adult,
        glasses=rng.random() < 0.03 + 0.1 * adult + 0.22 * old,
    )


def draw_face(traits: Traits, rng: np.random.Generator) -> Image.Image:
    """Draw one photograph of a person: RGB, `SIZE` × `SIZE` pixels."""
    pen = _Pen(traits, rng)
    for draw_part in (_hair_behind, _head, _wrinkles, _eyes, _nose_and_mouth, _hair_in_front):
        draw_part(pen, traits, rng)
    return _photograph(pen, traits.head_height, rng)


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
        image = draw_face(draw_traits(age, gender, race, rng), rng)
        jpeg = _jpeg(image, int(rng.integers(80, 93)))
        if copy is not None:  # identical or saved again in turn; every other two have another age
            jpeg = _jpeg(Image.open(io.BytesIO(jpeg)), 60) if copy % 2 else jpeg
            age += 3 if copy % 4 >= 2 else 0
        # Seven and a bit seconds apart, so that dates differ down to the millisecond.
        date = _FIRST_DATE + timedelta(milliseconds=7_357 * number)
        stamp = date.strftime("%Y%m%d%H%M%S") + f"{date.microsecond // 1000:03d}"
        (folder / f"{age}_{gender}_{race}_{stamp}.jpg.chip.jpg").write_bytes(jpeg)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _mix(first: object, second: object, share: float) -> Colour:
    return (1 - share) * np.asarray(first, float) + share * np.asarray(second, float)


def _ramp(age: float, start: float, end: float) -> float:
    """0 before ``start``, 1 after ``end``, smooth between."""
    x = min(max((age - start) / (end - start), 0.0), 1.0)
    return x * x * (3 - 2 * x)


def _arc(start: float, end: float, num_points: int = 24) -> tuple[Curve, Curve]:
    angle = np.radians(np.linspace(start, end, num_points))
    return np.cos(angle), np.sin(angle)


class _Pen:
    """Draws in head coordinates under one pose: roll, yaw, size and place of the head.

    x right, y down, origin at the centre of the head, one unit half its width.
    """

    def __init__(self, traits: Traits, rng: np.random.Generator) -> None:
        self.traits, self.rng = traits, rng
        self.paper = _background(rng)
        self.draw = ImageDraw.Draw(self.paper)
        self.unit = float(SIZE * rng.normal(0.325, 0.016))  # pixels
        self.yaw = float(np.clip(rng.normal(0, 0.09), -0.22, 0.22))  # shift of nose, eyes, mouth
        self.centre = SIZE * np.array([0.5, 0.54]) + rng.normal(0, 4, 2)
        roll = rng.normal(0, np.radians(6))
        self.turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])

    def _place(self, x: ArrayLike, y: ArrayLike) -> list[float]:
        points = np.column_stack([x, y]) @ self.turn
        return ((points * self.unit + self.centre) * _ZOOM).ravel().tolist()

    def fill(self, x: ArrayLike, y: ArrayLike, colour: Colour, shade: float = 1.0) -> None:
        self.draw.polygon(self._place(x, y), fill=_ink(colour * shade))

    def line(
        self, x: ArrayLike, y: ArrayLike, colour: Colour, width: float, shade: float = 1.0
    ) -> None:
        pixels = max(1, round(width * self.unit * _ZOOM))
        self.draw.line(self._place(x, y), _ink(colour * shade), pixels, joint="curve")

    def ellipse(
        self, x: float, y: float, width: float, height: float, colour: Colour, shade: float = 1.0
    ) -> None:
        cos, sin = _arc(0, 360)
        self.fill(x + width * cos, y + height * sin, colour, shade)

    def band(self, x: Curve, top: Curve, bottom: Curve, colour: Colour) -> None:
        """Fill what lies between two curves over the same x."""
        self.fill([*x, *x[::-1]], [*top, *bottom[::-1]], colour)

    def strand(self) -> Colour:
        """Colour of one strand: strands turn grey one by one, and differ a little in lightness."""
        grey = self.traits.grey
        grey = float(np.clip(grey + self.rng.uniform(-1.5, 1.5) * grey * (1 - grey), 0, 1))
        return _mix(self.traits.hair, _GREY, grey) * self.rng.uniform(0.82, 1.15)

    def curls(self, reach: float) -> None:
        for angle in np.radians(self.rng.uniform(175, 365, 90)):
            radius, size = 0.98 + reach * self.rng.random(), self.rng.uniform(0.07, 0.13)
            x, y = radius * np.cos(angle), radius * np.sin(angle) * self.traits.head_height
            self.ellipse(x, y, size, size, self.strand())


def _ink(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue


def _outline(t: Traits, grow: float, start: float, end: float) -> tuple[Curve, Curve]:
    """Outline of the head from ``start`` to ``end`` degrees (0 right ear, 90 chin, 270 top)."""
    cos, sin = _arc(start, end, 60)
    narrowing = 1 - (0.22 - 0.2 * t.jaw) * np.maximum(sin, 0) ** 1.3
    return cos * narrowing * (1 + grow), sin * t.head_height * (1 + grow)


def _mouth_y(t: Traits) -> float:
    return 0.5 * (t.eye_y + 0.1 + t.nose_length) + 0.47 * t.head_height


def _hair_behind(pen: _Pen, t: Traits, rng: np.random.Generator) -> None:
    colour = _mix(t.hair, _GREY, t.grey)
    if t.hair_length > 0.35:
        down = t.hair_length * t.head_height * 1.45
        cos, sin = _arc(180, 360, 40)
        sides_x, sides_y = (1.3, 1.12, -1.12, -1.3), (0.5 * down, down, down, 0.5 * down)
        top = 1.13 * t.head_height * sin
        pen.fill([*1.22 * cos, *sides_x], [*top, *sides_y], colour, 0.8)
        for x in rng.uniform(-1.18, 1.18, 26):
            pen.line([x, x * 1.06, x], [-0.2, 0.5 * down, down], pen.strand(), 0.025, 0.9)
    elif t.hairline > 0.98:  # bald on top: hair only beside the ears
        for side in (-1, 1):
            pen.ellipse(0.93 * side, -0.12, 0.15, 0.36, colour, 0.8)
    if t.curly and t.hairline < 0.98:
        pen.curls(0.16 + 0.12 * t.hair_length)


def _head(pen: _Pen, t: Traits, rng: np.random.Generator) -> None:
    clothes = rng.uniform(40, 200) + rng.normal(0, 30, 3)
    pen.fill([-2.2, -1.7, -0.5, 0.5, 1.7, 2.2], [3, 1.75, 1.5, 1.5, 1.75, 3], clothes)
    pen.fill([-0.5, 0.5, 0.6, 0, -0.6], [0.6, 0.6, 1.62, 1.85, 1.62], t.skin, 0.78)
    for side in (-1, 1):
        pen.ellipse(side - 0.35 * pen.yaw, t.eye_y + 0.12, 0.12, 0.24, t.skin, 0.9)
    pen.fill(*_outline(t, 0, 0, 360), t.skin)
    if t.beard >= 0.05:
        colour = _mix(t.skin, _mix(t.hair, _GREY, t.grey), min(t.beard, 0.92))
        x, y = _outline(t, -0.01, -4, 184)
        span = np.linspace(-1, 1, 25)
        upper = _mouth_y(t) - 0.22 + 0.3 * (np.abs(span) - 0.45) ** 2 - 0.35 * span**6
        pen.fill([*x, *0.84 * span + pen.yaw], [*y, *upper], colour)


def _wrinkles(pen: _Pen, t: Traits, rng: np.random.Generator) -> None:
    span, nose, mouth = np.linspace(-1, 1, 13), t.eye_y + 0.1 + t.nose_length, _mouth_y(t)

    def crease(x: ArrayLike, y: ArrayLike, strength: float) -> None:
        shade = 1 - 0.34 * strength * t.wrinkles
        pen.line(np.add(x, pen.yaw), y, t.skin, 0.021, shade)

    for i in range(round(4.4 * t.wrinkles)):  # forehead
        crease(0.55 * span, t.eye_y - 0.52 - 0.13 * i + 0.025 * np.cos(3 * span + i), 0.85)
    for side in (-1, 1) if t.wrinkles > 0.03 else ():
        fold = np.array([0.2, 0.36, 0.44, 0.42])
        crease(side * fold, [nose - 0.04, nose + 0.12, mouth, mouth + 0.1], 1.0)
        crease(side * (0.43 + 0.2 * span), t.eye_y + 0.25 - 0.05 * span**2, 0.9)  # bag
        for i in range(round(3 * t.wrinkles)):  # crow's feet
            ends = t.eye_y + 0.01 * i, t.eye_y - 0.12 + 0.13 * i
            crease([side * 0.67, side * 0.84], ends, 0.7)


def _eyes(pen: _Pen, t: Traits, rng: np.random.Generator) -> None:
    """Eyes, brows and glasses."""
    y, height, gaze = t.eye_y, t.eye_size * t.eye_openness, rng.normal(0, 0.02)
    iris, frame = min(t.eye_size * 0.52, height * 1.02), rng.uniform(15, 90, 3)
    (lid_x, lid_y), (ring_x, ring_y) = _arc(180, 360), _arc(0, 360, 32)
    span = np.linspace(-1, 1, 9)
    for side in (-1, 1):
        x = side * 0.43 + 1.1 * pen.yaw
        pen.ellipse(x, y - 0.02, t.eye_size * 1.18, height * 1.35, t.skin, 0.91)
        pen.ellipse(x, y, t.eye_size, height, _WHITE, 0.96)
        pen.ellipse(x + gaze, y, iris, iris, t.iris)
        pen.ellipse(x + gaze, y, iris * 0.48, iris * 0.48, _WHITE, 0.05)
        pen.ellipse(x + gaze + 0.03, y - 0.035, iris * 0.2, iris * 0.2, _WHITE)
        lid_shade = 0.72 - 0.54 * t.lashes
        lid = x + t.eye_size * 1.05 * lid_x, y + height * 1.02 * lid_y
        pen.line(*lid, t.skin, 0.022 + 0.03 * t.lashes, lid_shade)
        arch = y - height - 0.15 - 0.03 * t.lashes - 0.08 * (1 - span**2) + 0.03 * span * side
        thickness = t.brow_thickness * (1.1 - 0.5 * span * side)
        brow = 0.8 * _mix(t.hair, _GREY, t.grey)
        pen.band(x + 0.27 * span, arch - thickness, arch + thickness, brow)
        if t.glasses:
            pen.line(x + 0.33 * ring_x, y + 0.03 + 0.26 * ring_y, frame, 0.035)
            pen.line([x + side * 0.33, side], [y - 0.02, y - 0.05], frame, 0.035)


def _nose_and_mouth(pen: _Pen, t: Traits, rng: np.random.Generator) -> None:
    x, tip = 1.5 * pen.yaw, t.eye_y + 0.1 + t.nose_length
    bridge = [x * 0.7 - 0.07, x - t.nose_width * 0.7]
    pen.line(bridge, [t.eye_y + 0.05, tip - 0.05], t.skin, 0.025, 0.84)
    pen.ellipse(x, tip, t.nose_width, 0.09, t.skin, 0.92)
    pen.ellipse(x, tip - 0.05, t.nose_width * 0.6, 0.08, t.skin, 1.06)
    for side in (-1, 1):
        pen.ellipse(x + side * t.nose_width * 0.55, tip + 0.035, 0.045, 0.025, t.skin, 0.5)
    span = np.linspace(-1, 1, 21)
    along, round_ = 1.2 * pen.yaw + t.mouth_width * (1 + 0.12 * t.smile) * span, 1 - span**2
    curve = _mouth_y(t) - 0.1 * t.smile * span**2 + 0.03 * t.smile
    opening = max(0.0, t.smile - 0.45) * 0.16 * round_
    lower = curve + opening + 1.25 * t.lip_fullness * round_
    pen.band(along, curve - t.lip_fullness * round_, lower, t.lips)
    if opening.max() > 0:
        pen.band(along, curve, curve + opening, 0.94 * _WHITE)
    else:
        pen.line(along, curve, t.lips, 0.02, 0.62)


def _hair_in_front(pen: _Pen, t: Traits, rng: np.random.Generator) -> None:
    """The cap of hair between the outline of the head and the hairline."""
    if t.hairline > 0.98:
        return
    parting, fringe = rng.uniform(-0.5, 0.5), rng.uniform(0, 0.25)
    x = np.linspace(0.97, -0.97, 31)
    line = -t.head_height * (t.hairline - fringe * np.cos(1.6 * (x - parting)))
    hairline = line + (-0.12 * t.head_height - line) * np.abs(x) ** 6  # meets the ears
    cap_x, cap_y = _outline(t, 0.08, 188, 352)
    pen.fill([*cap_x, *x + 0.3 * pen.yaw], [*cap_y, *hairline], _mix(t.hair, _GREY, t.grey))
    for i in rng.integers(4, len(x) - 4, 80):  # strands
        top = -t.head_height * 1.05 * np.sqrt(1 - (0.95 * x[i]) ** 2)
        if hairline[i] - top > 0.1:
            pen.line([0.8 * x[i] + 0.2 * parting, x[i]], [top, hairline[i]], pen.strand(), 0.02)
    if t.curly:
        pen.curls(0.1)


def _background(rng: np.random.Generator) -> Image.Image:
    """Give a blurred room: a few large blocks of colour, enlarged smoothly."""
    base = rng.uniform(45, 215) + rng.normal(0, 24, 3)
    blocks = np.clip(base + rng.normal(0, 10, (4, 4, 3)) + rng.normal(0, 26, (4, 4, 1)), 0, 255)
    size = (SIZE * _ZOOM, SIZE * _ZOOM)
    return Image.fromarray(blocks.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def _photograph(pen: _Pen, head_height: float, rng: np.random.Generator) -> Image.Image:
    """Average the drawing down and give it light, as on an ellipsoid, a colour cast and noise."""
    image = pen.paper.reduce(_ZOOM)
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.3)))
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    x, y = (x - pen.centre[0]) / pen.unit, (y - pen.centre[1]) / pen.unit / head_height
    inside = 1 / np.maximum(np.hypot(x, y), 1) / 1.15  # beyond the rim as at the rim
    x, y = x * inside, y * inside
    lamp = np.array([rng.uniform(-0.9, 0.9), rng.uniform(-0.7, 0.15), 0.6])
    normals = np.stack([x, y, np.sqrt(1 - x**2 - y**2)], axis=2)
    lit = np.maximum(normals @ lamp / np.linalg.norm(lamp), 0)
    ambient = rng.uniform(0.5, 0.8)
    brightness = (ambient + (1.08 - ambient) * lit) * rng.uniform(0.78, 1.15)
    pixels = np.asarray(image) * brightness[..., None] * rng.normal(1, 0.03, 3)
    if rng.random() < 0.04:  # a black and white film
        pixels = np.repeat(pixels @ [[0.299], [0.587], [0.114]], 3, axis=2)
    pixels = pixels + rng.standard_normal((SIZE, SIZE, 1)) * rng.uniform(1, 6)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
