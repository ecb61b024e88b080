"""Each operation against torchvision, one picture at a time, on pictures never out of range.

Colours within 5e-4 of values in [0, 1], because torchvision's grey weights add up to 0.9999 and
ours to 1; the hue, which torchvision turns in another colour space, within 0.03 on average.
Geometry within 1e-3 where it looks inside the picture; blur, sharpness and noise within 1e-5.
"""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from utkface.augment.ops import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    SHARPNESS,
    add_noise,
    blur,
    colour_matrix,
    erase,
    homography,
    normalise,
    recolour,
    sample,
    sharpen,
)

TOLERANCE = {"atol": 5e-4, "rtol": 0}


def change(images, draws, autocontrast=False):
    """Apply the colour matrix alone, giving values in [0, 1]."""
    pixels = images.float()
    linear, offset = colour_matrix(pixels, draws, autocontrast=autocontrast)
    return torch.einsum("bij,bjhw->bihw", linear, pixels) + offset[..., None, None]


def one_by_one(function, images, factors):
    pairs = zip(images.float() / 255, factors.tolist(), strict=True)
    return torch.stack([function(image, factor) for image, factor in pairs])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_agrees_with_torchvision(pictures, make_draws, name):
    factors = torch.linspace(0.6, 1.4, 6)
    out = change(pictures, make_draws(6, **{name: factors}))
    expected = one_by_one(getattr(TF, f"adjust_{name}"), pictures, factors)
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_grey_is_torchvisions_whatever_the_hue(pictures, make_draws):
    out = change(pictures, make_draws(6, saturation=torch.zeros(6), hue=torch.full((6,), 0.1)))
    expected = TF.rgb_to_grayscale(pictures.float() / 255, num_output_channels=3)
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_autocontrast_agrees_with_torchvision(pictures, make_draws):
    wanted = torch.tensor([True, True, False, True, False, True])
    pictures[5, 1] = 77  # a flat channel cannot be stretched
    out = change(pictures, make_draws(6, autocontrast=wanted), autocontrast=True)
    scaled = pictures.float() / 255
    expected = torch.where(wanted[:, None, None, None], TF.autocontrast(scaled), scaled)
    torch.testing.assert_close(out, expected, **TOLERANCE)


def test_hue_turns_as_far_as_torchvisions(pictures, make_draws):
    hues = torch.tensor([-0.1, -0.05, -0.02, 0.02, 0.05, 0.1])
    out = change(pictures, make_draws(6, hue=hues))
    expected = one_by_one(TF.adjust_hue, pictures, hues)
    assert (out - expected).abs().mean() < 0.03
    other_way = one_by_one(TF.adjust_hue, pictures, -hues)
    assert (out - other_way).abs().mean() > 2 * (out - expected).abs().mean()


def test_hue_of_a_third_of_the_circle_swaps_the_primaries(make_draws):
    primaries = 255 * torch.eye(3).view(1, 3, 1, 3)
    out = change(primaries, make_draws(1, hue=torch.tensor([1 / 3])))
    torch.testing.assert_close(out, torch.eye(3)[[2, 0, 1]].view(1, 3, 1, 3), atol=1e-5, rtol=0)


def test_composition_follows_torchvisions_steps(pictures, make_draws):
    """Autocontrast, brightness, contrast, saturation; dark enough to never reach 1."""
    brightness, contrast = torch.linspace(0.5, 0.7, 6), torch.linspace(0.8, 0.95, 6)
    saturation = torch.linspace(0.4, 1.0, 6)
    wanted = torch.ones(6, dtype=torch.bool)
    draws = make_draws(
        6, autocontrast=wanted, brightness=brightness, contrast=contrast, saturation=saturation
    )
    expected = TF.autocontrast(pictures.float() / 255)
    for function, factors in (
        (TF.adjust_brightness, brightness),
        (TF.adjust_contrast, contrast),
        (TF.adjust_saturation, saturation),
    ):
        expected = one_by_one(function, 255 * expected, factors)
    torch.testing.assert_close(change(pictures, draws, autocontrast=True), expected, **TOLERANCE)


def test_recolour_cuts_to_the_valid_range_and_normalises(pictures, make_draws):
    draws = make_draws(6, brightness=torch.full((6,), 2.0), contrast=torch.full((6,), 1.9))
    out = recolour(pictures.float().contiguous(), draws, autocontrast=False)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    values = out * std[:, None, None] + mean[:, None, None]
    expected = change(pictures, draws).clamp(0, 1)
    assert expected.max() == 1
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_normalise_is_torchvisions(pictures, memory_format):
    out = normalise(pictures.contiguous(memory_format=memory_format))
    expected = TF.normalize(pictures.float() / 255, IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
    assert out.is_contiguous(memory_format=torch.channels_last)


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


PIXEL_TOLERANCE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture
def images(generator):
    return torch.rand(5, 3, 33, 40, generator=generator)


def to_normalised(values):
    return TF.normalize(values, IMAGENET_MEAN, IMAGENET_STD)


def test_blur_agrees_with_torchvision(images):
    sigma = torch.tensor([0.0, 0.1, 0.5, 1.3, 2.0])
    out = blur(images, sigma)
    torch.testing.assert_close(out[0], images[0], **PIXEL_TOLERANCE)
    for index in range(1, 5):
        expected = TF.gaussian_blur(images[index], [5, 5], [float(sigma[index])])
        torch.testing.assert_close(out[index], expected, **PIXEL_TOLERANCE)


def test_sharpness_agrees_with_torchvision(images):
    """Overshoot included: both cut it to the valid range."""
    out = sharpen(to_normalised(images))
    expected = to_normalised(TF.adjust_sharpness(images, SHARPNESS))
    torch.testing.assert_close(out, expected, atol=5e-5, rtol=0)


def test_noise_adds_in_pixel_values_and_is_cut(images, generator):
    noise = 0.3 * torch.randn(images.shape, generator=generator)
    out = add_noise(to_normalised(images), noise)
    torch.testing.assert_close(out, to_normalised((images + noise).clamp(0, 1)), atol=5e-5, rtol=0)


def test_erase_agrees_with_torchvision(images):
    boxes = [[0, 0, 0, 0], [0, 0, 33, 40], [3, 5, 7, 11], [30, 36, 3, 4], [10, 0, 1, 40]]
    out = erase(images.clone(), torch.tensor(boxes, dtype=torch.float32))
    for index, box in enumerate(boxes):
        expected = TF.erase(images[index], *box, v=torch.zeros(3, 1, 1))
        assert out[index].equal(expected)
