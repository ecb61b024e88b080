import pytest
import torch

from utkface.augment import Augmenter, normalise
from utkface.augment.draws import PARTS, Draws, draw, draw_noise, strength_table
from utkface.augment.ops import to_pixels
from utkface.config import TrainConfig

OFF = TrainConfig(**dict.fromkeys(PARTS, 0.0))
EVERYTHING = TrainConfig(
    oversample_by="age",
    perspective=0.3,
    perspective_p=0.8,
    hue=0.1,
    blur_p=0.5,
    sharpness_p=0.5,
    autocontrast_p=0.5,
    noise_std=0.1,
    erasing_p=0.5,
)
REFERENCE = TrainConfig(oversample_by="age", intensive_pipeline="reference")
CONFIGS = [OFF, TrainConfig(), TrainConfig(oversample_by="age"), EVERYTHING, REFERENCE]
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card here")


@pytest.fixture
def images(generator):
    """Forty pictures, more than the CPU takes together, NHWC in memory as in the packed cache."""
    values = torch.randint(0, 256, (40, 32, 32, 3), generator=generator, dtype=torch.uint8)
    return values.permute(0, 3, 1, 2)


@pytest.fixture
def intensive():
    return torch.arange(40) % 3 == 0


def augment(config, images, intensive, seed=0):
    return Augmenter(config)(images, intensive, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("config", CONFIGS)
def test_output_is_finite_float_channels_last_and_in_range(config, images, intensive):
    before = images.clone()
    out = augment(config, images, intensive)
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert out.isfinite().all()
    black, white = normalise(
        torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).repeat(1, 3, 1, 1)
    )
    assert (out >= black - 1e-4).all()
    assert (out <= white + 1e-4).all()
    assert images.equal(before), "the faces of the cache must stay as they are"


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_switched_on_is_normalise(images, intensive, seed):
    assert augment(OFF, images, intensive, seed).equal(normalise(images))


@pytest.mark.parametrize("config", CONFIGS)
def test_the_generator_alone_decides(config, images, intensive):
    first, again = (augment(config, images, intensive) for _ in range(2))
    assert first.equal(again)
    if config is not OFF:
        assert not first.equal(augment(config, images, intensive, seed=1))


def test_equal_faces_of_a_batch_come_out_different(images, intensive):
    same = images[:1].expand(40, -1, -1, -1)
    out = augment(TrainConfig(), same, torch.zeros_like(intensive)).flatten(1)
    distances = torch.cdist(out, out) + 1e9 * torch.eye(40)
    assert distances.min() > 0.5


@pytest.mark.parametrize("config", CONFIGS)
def test_a_face_does_not_depend_on_its_neighbours(config, images, intensive):
    others = images.clone()
    others[1::2] = 255 - others[1::2]
    first, second = (augment(config, batch, intensive) for batch in (images, others))
    torch.testing.assert_close(first[::2], second[::2], atol=1e-5, rtol=0)


def test_basic_faces_do_not_see_the_intensive_strength(images, intensive):
    weak, strong = (
        augment(EVERYTHING.replace(intensive_strength=strength), images, intensive)
        for strength in (0.0, 2.0)
    )
    torch.testing.assert_close(weak[~intensive], strong[~intensive], atol=1e-5, rtol=0)
    assert not torch.isclose(weak[intensive], strong[intensive]).flatten(1).all(1).any()


def test_intensive_faces_change_more(images, intensive):
    out = augment(TrainConfig(oversample_by="age", flip_p=0.0), images, intensive)
    change = (out - normalise(images)).abs().flatten(1).mean(1)
    assert change[intensive].mean() > change[~intensive].mean()


def test_an_empty_batch_comes_back_empty(images, intensive):
    assert augment(EVERYTHING, images[:0], intensive[:0]).shape == (0, 3, 32, 32)


@pytest.mark.gpu
@needs_card
@pytest.mark.parametrize("config", CONFIGS)
def test_cuda_gives_the_same_without_waiting_for_the_host(config, images, intensive):
    generator, augmenter = torch.Generator().manual_seed(0), Augmenter(config)
    draws = draw(strength_table(config), intensive, 32, generator)
    noise = draw_noise(strength_table(config), intensive, 32, generator)
    noise = noise if config.noise_std else None
    expected = augmenter.apply(images, draws, noise)

    batch, on_device = images.cuda(), Draws(*(value.cuda() for value in vars(draws).values()))
    cuda_noise = None if noise is None else noise.cuda()
    cuda_generator, cuda_intensive = torch.Generator("cuda"), intensive.cuda()
    augmenter(batch, cuda_intensive, cuda_generator)  # puts the constants on the device
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmenter(batch, cuda_intensive, cuda_generator)
        out = augmenter.apply(batch, on_device, cuda_noise)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(out.cpu(), expected, atol=2e-3, rtol=0)


def test_the_references_pipeline_changes_intensive_faces_and_leaves_the_others(images, intensive):
    nothing_else = OFF.replace(oversample_by="age", intensive_pipeline="reference")
    out = augment(nothing_else, images, intensive)
    assert out[~intensive].equal(normalise(images[~intensive]))
    differs = (out != normalise(images)).flatten(1).any(1)
    assert differs[intensive].all()
    again = augment(nothing_else.replace(oversample_by="none"), images, intensive)
    assert again.equal(normalise(images)), "nobody is oversampled, so nobody is intensive"


def test_pixels_come_back_from_being_normalised(images):
    assert to_pixels(normalise(images)).equal(images)
