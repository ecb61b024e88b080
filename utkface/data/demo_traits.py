"""How a drawn person looks, given age, gender and race: the part of the demo that can be learned.

Every trait is a smooth function of the labels plus chance, so that no single trait gives a label
away: some women wear short hair, some men are bald at thirty, skin tones of the groups overlap, and
a person looks some years older or younger than they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float64]  # RGB, 0..255

# Lightest and darkest usual skin by race: White, Black, Asian, Indian, Other.
_SKIN = (
    ((247, 221, 203), (221, 176, 148)),
    ((148, 98, 70), (78, 50, 38)),
    ((244, 214, 180), (217, 172, 130)),
    ((192, 142, 106), (132, 88, 61)),
    ((228, 182, 145), (158, 110, 78)),
)
_BLACK, _DARK_BROWN, _BROWN = (27, 22, 21), (58, 39, 28), (108, 72, 45)
_BLOND, _RED, _GREY = (206, 170, 108), (146, 74, 40), (214, 212, 210)
_HAIR = (
    (_BLOND, _BROWN, _BROWN, _DARK_BROWN, _RED),
    (_BLACK, _BLACK, _DARK_BROWN),
    (_BLACK, _BLACK, _BLACK, _DARK_BROWN),
    (_BLACK, _BLACK, _DARK_BROWN),
    (_BLACK, _DARK_BROWN, _BROWN),
)
_BROWN_EYES = ((74, 46, 28), (48, 30, 22))
_EYES = (((92, 128, 160), (96, 122, 90), (104, 70, 40), (74, 46, 28)), *[_BROWN_EYES] * 4)
_CURLY = (0.12, 0.75, 0.04, 0.08, 0.35)  # probability of curly hair by race


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
    cheeks: float  # roundness of the cheeks
    eye_y: float
    eye_size: float
    eye_openness: float
    brow_thickness: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    smile: float
    hair_length: float  # below 0.35 ends above the ears, 1 falls on the shoulders
    hairline: float  # height of the hairline in half head heights, 1 = top of the head
    hair_density: float  # a baby's down is thin
    fringe: float
    curly: bool
    beard: float
    wrinkles: float
    sagging: float
    num_spots: int  # age spots
    lashes: float
    earrings: bool
    glasses: bool


def _mix(first: object, second: object, share: float) -> Colour:
    return (1 - share) * np.asarray(first, float) + share * np.asarray(second, float)


def _ramp(age: float, start: float, end: float) -> float:
    """0 before ``start``, 1 after ``end``, smooth between."""
    x = min(max((age - start) / (end - start), 0.0), 1.0)
    return x * x * (3 - 2 * x)


def draw_traits(age: int, gender: int, race: int, rng: np.random.Generator) -> Traits:
    """Draw the appearance of a person of ``age`` years; gender 0 male, 1 female; race 0 to 4."""
    looks = age * float(np.exp(rng.normal(0, 0.07))) + float(rng.normal(0, 0.6))  # apparent age
    grown = 0.6 * _ramp(looks, -4, 12) + 0.4 * _ramp(looks, 8, 20)
    adult, old = _ramp(looks, 11, 19), _ramp(looks, 32, 85)
    woman = 0.5 + (gender - 0.5) * (0.35 + 0.65 * adult) + rng.normal(0, 0.12)  # 0 man .. 1 woman
    woman = min(max(float(woman), 0.0), 1.0)
    noise = lambda scale: float(rng.normal(0, scale))  # noqa: E731

    skin = _mix(*_SKIN[race], rng.beta(2, 2))
    hair = np.asarray(_HAIR[race][rng.integers(len(_HAIR[race]))], float) * rng.uniform(0.85, 1.15)
    if race == 0 and looks < 10:
        hair = _mix(hair, _BLOND, 0.4)
    red = _mix(skin, (176, 52, 62), 0.35 + 0.25 * woman * adult * rng.uniform(0.3, 1.6))
    long_hair = rng.random() < (0.08 + 0.78 * gender * _ramp(looks, 1, 8) * (1 - 0.45 * old))
    balding = (1 - gender) * _ramp(looks, 24, 75) * rng.uniform(0, 1.25)
    bearded = gender == 0 and rng.random() < 0.45 * adult
    return Traits(
        skin=skin,
        hair=hair,
        grey=min(max(_ramp(looks, 33, 76) * (1 + noise(0.2)), 0.0), 1.0),
        iris=np.asarray(_EYES[race][rng.integers(len(_EYES[race]))], float),
        lips=red,
        head_height=1.1 + 0.2 * grown + noise(0.03),
        jaw=0.25 + 0.45 * adult * (1 - woman) + 0.15 * old + noise(0.06),
        cheeks=0.9 - 0.7 * grown + noise(0.08),
        eye_y=0.27 - 0.25 * grown + noise(0.02),
        eye_size=0.26 - 0.075 * grown - 0.02 * old + noise(0.008),
        eye_openness=(0.62 - 0.16 * old + 0.1 * (1 - grown)) * (0.74 if race == 2 else 1.0)
        + noise(0.04),
        brow_thickness=0.03 + 0.035 * adult * (1 - woman) + 0.008 * grown + noise(0.005),
        brow_arch=0.05 + 0.07 * adult * woman + noise(0.015),
        nose_length=0.24 + 0.22 * grown + 0.05 * old + noise(0.02),
        nose_width=0.13 + 0.05 * grown + 0.03 * old + 0.02 * (1 - woman) + noise(0.015),
        mouth_width=0.27 + 0.1 * grown + noise(0.03),
        lip_fullness=0.075 + 0.03 * woman * adult - 0.03 * old + noise(0.01),
        smile=float(rng.uniform(-0.25, 1)),
        hair_length=float(rng.uniform(0.6, 1.0) if long_hair else rng.uniform(0.0, 0.3)),
        hairline=0.58 + 0.12 * (1 - woman) + 0.45 * balding + 0.25 * (1 - _ramp(looks, 0, 2.5)),
        hair_density=0.25 + 0.75 * _ramp(looks, 0, 3.5),
        fringe=float(rng.uniform(0, 0.3)) * (1 - min(balding, 1)) * _ramp(looks, 2, 5),
        curly=bool(rng.random() < _CURLY[race]),
        beard=float(rng.choice((0.35, 0.6, 1.0))) if bearded else 0.07 * adult * (1 - gender),
        wrinkles=min(max(_ramp(looks, 26, 82) * rng.uniform(0.8, 1.2), 0.0), 1.0),
        sagging=old,
        num_spots=int(rng.poisson(14 * _ramp(looks, 55, 95))),
        lashes=0.25 + 0.75 * woman * adult,
        earrings=bool(gender == 1 and rng.random() < 0.35 * adult),
        glasses=bool(rng.random() < 0.03 + 0.1 * adult + 0.22 * old),
    )
