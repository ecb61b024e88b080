"""Against torchvision one picture at a time; within 1e-3 where it looks inside the picture."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from utkface.augment.geometry import homography, sample

BILINEAR = InterpolationMode.BILINEAR
SIDE = 48


@pytest.fixture
def noise(generator):
    """Pictures without any smoothness, the hardest to sample at the right place."""
    return torch.rand(6, 3, SIDE, SIDE, generator=generator)


def assert_same_inside(actual, expected, inside, tolerance=1e-3):
    """Compare where torchvision, which fills with black, had a picture to look at."""
    assert inside.float().mean() > 0.3, "the test looks at too little"
    difference = (actual - expected).abs() * inside
    assert difference.max() < tolerance


def transform(images, draws, projective=False):
    return sample(images, homography(draws, projective=projective), projective=projective)


def test_nothing_drawn_leaves_the_pixels(noise, make_draws):
    for projective in (False, True):
        out = transform(noise, make_draws(6), projective)
        torch.testing.assert_close(out, noise, atol=1e-5, rtol=0)


def test_flip_mirrors_left_and_right(noise, make_draws):
    flip = torch.tensor([True, False, True, True, False, False])
    out = transform(noise, make_draws(6, flip=flip))
    expected = torch.where(flip[:, None, None, None], noise.flip(3), noise)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "part", ["rotation_degrees", "translate", "scale", "all"], ids=lambda part: part
)
def test_affine_agrees_with_torchvision(noise, make_draws, part):
    parameters = {
        "rotation_degrees": torch.tensor([-20.0, -7.5, 0.0, 3.0, 90.0, 170.0]),
        "translate": torch.tensor([[0.1, 0], [0, 0.1], [-0.2, 0.3], [0.05, 0.01], [0, 0], [-1, 0]])
        * 0.5,
        "scale": torch.tensor([0.7, 0.9, 1.0, 1.1, 1.5, 1.9]),
    }
    if part != "all":
        parameters = {part: parameters[part]}
    draws = make_draws(6, **parameters)
    out = transform(noise, draws)
    for index in range(6):
        settings = {
            "angle": float(draws.rotation_degrees[index]),
            "translate": (draws.translate[index] * SIDE).tolist(),
            "scale": float(draws.scale[index]),
            "shear": [0.0, 0.0],
            "interpolation": BILINEAR,
        }
        expected = TF.affine(noise[index], **settings)
        inside = TF.affine(torch.ones_like(noise[index]), **settings) > 0.9999
        assert_same_inside(out[index], expected, inside)


def torchvision_perspective(image, matrix):
    """Apply a homography through torchvision, whose coefficients are in pixels from the corner."""
    to_unit = torch.tensor([[2 / SIDE, 0, -1], [0, 2 / SIDE, -1], [0, 0, 1]], dtype=torch.float64)
    pixels = torch.linalg.inv(to_unit) @ matrix.double() @ to_unit
    coefficients = (pixels / pixels[2, 2]).flatten()[:8].tolist()
    return TF.perspective(image, None, None, interpolation=BILINEAR, coefficients=coefficients)


def test_perspective_agrees_with_torchvision(noise, make_draws, generator):
    inwards = 0.5 * torch.rand(6, 4, 2, generator=generator)
    matrix = homography(make_draws(6, perspective=inwards), projective=True)
    out = sample(noise, matrix, projective=True)
    for index in range(6):
        expected = torchvision_perspective(noise[index], matrix[index])
        inside = torchvision_perspective(torch.ones_like(noise[index]), matrix[index]) > 0.9999
        assert_same_inside(out[index], expected, inside)


def test_perspective_moves_each_corner_inwards_as_drawn(make_draws, generator):
    inwards = 0.6 * torch.rand(6, 4, 2, generator=generator)
    matrix = homography(make_draws(6, perspective=inwards), projective=True)
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    moved = torch.cat([corners * (1 - inwards), torch.ones(6, 4, 1)], 2)
    source = moved @ matrix.transpose(1, 2)
    source = source[..., :2] / source[..., 2:]
    torch.testing.assert_close(source, corners.expand(6, 4, 2), atol=1e-4, rtol=0)


def test_composition_is_flip_then_perspective_then_affine(pictures, make_draws, generator):
    """Three samplings in torchvision blur more than one, so the pictures are smooth here."""
    images = pictures.float() / 255
    inwards = 0.3 * torch.rand(6, 4, 2, generator=generator)
    angle, scale = torch.linspace(-15, 15, 6), torch.linspace(0.9, 1.2, 6)
    translate = 0.1 * torch.rand(6, 2, generator=generator)
    affine = {"rotation_degrees": angle, "scale": scale, "translate": translate}
    flip = torch.arange(6) % 2 == 0
    out = transform(images, make_draws(6, flip=flip, perspective=inwards, **affine), True)
    perspective_alone = homography(make_draws(6, perspective=inwards), projective=True)
    for index in range(6):

        def stepwise(image, i=index):
            image = image.flip(2) if flip[i] else image
            image = torchvision_perspective(image, perspective_alone[i])
            shift = (translate[i] * SIDE).tolist()
            return TF.affine(image, float(angle[i]), shift, float(scale[i]), [0.0, 0.0], BILINEAR)

        inside = stepwise(torch.ones_like(images[index])) > 0.9999
        assert_same_inside(out[index], stepwise(images[index]), inside, tolerance=0.01)


def test_outside_is_the_reflection(noise, make_draws):
    translate = torch.tensor([[0.25, 0.0]]).expand(6, 2)
    out = transform(noise, make_draws(6, translate=translate))
    quarter = SIDE // 4
    torch.testing.assert_close(out[..., :quarter], noise[..., :quarter].flip(3), atol=1e-4, rtol=0)


def test_the_strongest_perspective_stays_finite(noise, make_draws):
    """At 0.9 the corners can fold over each other, and the horizon crosses the picture."""
    one_sided = torch.zeros(6, 4, 2)
    one_sided[:, 0] = torch.linspace(0.4, 0.9, 6)[:, None]
    for inwards in (one_sided, torch.full((6, 4, 2), 0.9), torch.rand(6, 4, 2) * 0.9):
        out = transform(noise, make_draws(6, perspective=inwards), True)
        assert out.isfinite().all()
        assert out.min() >= 0
        assert out.max() <= 1
