"""Image and mask move together; parameters are drawn first and then applied purely; flips change no value."""

import math

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.batches.turns import (
    MEDIUM,
    MILD,
    STRONG,
    Color,
    Strength,
    Symmetry,
    View,
    apply_color,
    apply_symmetry,
    apply_view,
    classical_augmentation,
    draw_color,
    draw_symmetry,
    draw_view,
    flip_rotate90,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_of(count=16, height=12, width=12, channels=3):
    """Noise whose mask says where its first channel is bright."""
    image = torch.rand(count, channels, height, width, generator=generator(1)) * 2 - 1
    return Batch(image, torch.arange(count), (image[:, :1] > 0).long(), torch.arange(count))


def still(count, angle=0.0, side=1.0, shift=(0.0, 0.0)):
    return View(torch.full((count,), angle), torch.full((count,), side), torch.tensor([shift] * count))


def neutral(count):
    return Color(*torch.ones(3, count), hue=torch.zeros(count))


@pytest.mark.parametrize("size", [(12, 12), (8, 12)])
def test_flips_move_image_and_mask_together_and_change_no_value(size):
    batch = batch_of(64, *size)
    moved = flip_rotate90(batch, generator())
    assert torch.equal(moved.mask, (moved.image[:, :1] > 0).long())
    assert torch.equal(moved.image.flatten(1).sort().values, batch.image.flatten(1).sort().values)
    assert torch.equal(moved.label, batch.label)
    assert not torch.equal(moved.image, batch.image)


def test_the_eight_symmetries_are_all_drawn_alike():
    corner = torch.arange(4.0).reshape(1, 1, 2, 2).expand(4000, 1, 2, 2)
    moved = apply_symmetry(corner, draw_symmetry(4000, generator()))
    found, counts = moved.flatten(1).unique(dim=0, return_counts=True)
    assert len(found) == 8
    assert counts.min() > 400
    turns = {tuple(torch.rot90(corner[0, 0], k).flatten().tolist()) for k in range(4)}
    assert turns <= {tuple(row) for row in found.tolist()}


def test_symmetries_undo_themselves():
    batch = batch_of()
    for which in torch.eye(3, dtype=torch.bool):
        symmetry = Symmetry(*(part.expand(16) for part in which))
        assert torch.equal(apply_symmetry(apply_symmetry(batch.image, symmetry), symmetry), batch.image)


@pytest.mark.parametrize("transform", [flip_rotate90, classical_augmentation])
def test_the_generator_decides_and_the_batch_is_left_alone(transform):
    batch = batch_of()
    before = batch.image.clone(), batch.mask.clone()
    once, again, other = (transform(batch, generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(once.image, again.image)
    assert not torch.equal(once.image, other.image)
    assert torch.equal(batch.image, before[0])
    assert torch.equal(batch.mask, before[1])


def test_no_global_random_state_is_touched():
    before = torch.get_rng_state()
    classical_augmentation(batch_of(), generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_images_without_masks():
    batch = Batch(torch.zeros(2, 1, 4, 4), None, None, torch.arange(2))
    assert classical_augmentation(batch, generator()).mask is None
    assert flip_rotate90(batch, generator()).mask is None


def test_a_view_that_shows_all_changes_nothing():
    batch = batch_of()
    assert torch.allclose(apply_view(batch.image, still(16)), batch.image, atol=1e-5)
    assert torch.equal(apply_view(batch.mask, still(16)), batch.mask)


@pytest.mark.parametrize("size", [(12, 12), (8, 14)])
def test_half_a_turn_is_two_flips(size):
    batch = batch_of(4, *size)
    turned = apply_view(batch.image, still(4, angle=math.pi))
    assert torch.allclose(turned, batch.image.flip(-1, -2), atol=1e-4)


def test_a_quarter_turn_is_exact_up_to_rounding():
    batch = batch_of(4)
    turned = apply_view(batch.image, still(4, angle=math.pi / 2))
    nearest = [(turned - torch.rot90(batch.image, k, (-2, -1))).abs().max() for k in (1, 3)]
    assert min(nearest) < 1e-4


def test_rotation_keeps_shapes_in_oblong_images():
    """A disc stays a disc: rotation is in pixels, not in the unit square."""
    y, x = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(60) - 29.5, indexing="ij")
    disc = ((y**2 + x**2) < 16).float()[None, None]
    change = (apply_view(disc, still(1, angle=1.0)) - disc).abs()[..., 20:40]  # further out lie its mirror images
    assert change.mean() < 0.02


def test_zoom_shows_the_window():
    image = torch.arange(16.0).reshape(1, 1, 4, 4).repeat_interleave(8, -1).repeat_interleave(8, -2)
    seen = apply_view(image, still(1, side=0.5, shift=(1.0, -1.0)))  # right, top
    assert seen[0, 0, 4, 4] == image[0, 0, 0, 16]
    assert seen[0, 0, 4, -4] == image[0, 0, 0, -1]
    assert seen[0, 0, 20, 20] == image[0, 0, 10, 26]


def test_image_and_mask_are_seen_through_the_same_view():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    image = (torch.sin(5 * x + 2) * torch.cos(4 * y))[None, None].repeat(16, 1, 1, 1)
    batch = Batch(image, None, (image > 0).long(), torch.arange(16))
    seen = classical_augmentation(batch, generator(), Strength(0.4, 0.0, 0.0))
    agree = ((seen.image > 0).long() == seen.mask).float().mean()
    assert agree > 0.97
    assert set(seen.mask.unique().tolist()) <= {0, 1}


@pytest.mark.parametrize("strength", [MILD, MEDIUM, STRONG])
def test_views_and_colors_stay_in_their_limits(strength):
    view, color = draw_view(2000, generator(), strength), draw_color(2000, generator(), strength)
    assert view.angle.abs().max() <= math.pi
    assert (view.side**2).min() == pytest.approx(strength.smallest_area, abs=0.01)
    assert (view.side**2).max() <= 1
    assert view.shift.abs().max() <= 1
    for factor in (color.brightness, color.contrast, color.saturation):
        assert (factor - 1).abs().max() == pytest.approx(strength.color, abs=0.01)
    assert color.hue.abs().max() / (2 * math.pi) == pytest.approx(strength.hue, abs=0.01)


def test_a_mild_augmentation_leaves_the_colors():
    """Of one color: wherever the window lies, nothing changes."""
    batch = Batch(torch.full((4, 3, 8, 8), 0.3), None, None, torch.arange(4))
    assert torch.allclose(classical_augmentation(batch, generator(), MILD).image, batch.image, atol=1e-6)
    assert not torch.allclose(classical_augmentation(batch, generator(), MEDIUM).image, batch.image, atol=1e-2)


@pytest.mark.parametrize("channels", [1, 3])
def test_colors_left_as_they_are(channels):
    image = batch_of(channels=channels).image
    assert torch.allclose(apply_color(image, neutral(16)), image, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_colors_stay_in_range(channels):
    image = batch_of(200, channels=channels).image
    changed = apply_color(image, draw_color(200, generator()))
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert not torch.equal(changed, image)


def test_hue_and_saturation_keep_luminance_and_gray():
    weights = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    image = batch_of().image * 0.2  # far from the ends, so that nothing is cut
    color = Color(torch.ones(16), torch.ones(16), torch.full((16,), 1.3), hue=torch.full((16,), 0.6))
    changed = apply_color(image, color)
    assert torch.allclose((changed * weights).sum(1), (image * weights).sum(1), atol=1e-3)
    assert (changed - image).abs().max() > 0.05
    gray = image[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(apply_color(gray, color), gray, atol=1e-3)


def test_contrast_is_around_the_mean_and_brightness_scales_light():
    image = batch_of(2).image * 0.3
    color = neutral(2)
    flat = apply_color(image, Color(color.brightness, torch.zeros(2), color.saturation, color.hue))
    assert flat.flatten(1).std(1).max() < 1e-5
    dark = apply_color(image, Color(torch.full((2,), 0.5), color.contrast, color.saturation, color.hue))
    assert torch.allclose((dark + 1) / 2, (image + 1) / 4, atol=1e-5)
