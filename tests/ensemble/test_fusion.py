"""Truth: votes a pencil can count, SimpleITK asked directly, and raters whose quality is known beforehand."""

import numpy as np
import pytest
import SimpleITK

from meddiff.ensemble.fusion import FUSIONS, consensus, fuse, majority, mean, staple
from meddiff.errors import InputError


def members_of(*class_maps, classes=2):
    """Class maps as certain probabilities [M, K, *S]."""
    return np.stack([np.moveaxis(np.eye(classes)[np.asarray(entry)], -1, 0) for entry in class_maps])


def raters(truth, *, misses, inventions, generator):
    """Masks of raters that miss and invent pixels of the truth at these rates, each by itself."""
    return np.stack([
        np.where(truth, generator.random(truth.shape) >= miss, generator.random(truth.shape) < invention)
        for miss, invention in zip(misses, inventions, strict=True)
    ])  # fmt: skip


def square(size=64):
    truth = np.zeros((size, size), bool)
    truth[size // 4 : size // 2, size // 4 : size // 2] = True
    return truth


def test_mean_by_pencil():
    members = np.array([[[[0.2]], [[0.8]]], [[[0.6]], [[0.4]]]])
    assert mean(members)[:, 0, 0] == pytest.approx([0.4, 0.6])


def test_majority_by_pencil():
    members = members_of([[0, 1, 2]], [[0, 1, 1]], [[0, 2, 1]], [[0, 2, 2]], classes=3)
    assert majority(members)[:, 0].T.tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]
    assert majority(members).argmax(0).tolist() == [[0, 1, 1]], "a tie goes to the lowest index"


@pytest.mark.parametrize("shape", [(20, 24), (9, 10, 11)])
def test_binary_staple_is_that_of_simpleitk(shape):
    generator = np.random.default_rng(0)
    truth = np.zeros(shape, bool)
    truth[tuple(slice(2, 7) for _ in shape)] = True
    masks = raters(truth, misses=[0.1, 0.2, 0.4, 0.6], inventions=[0.02, 0.1, 0.2, 0.05], generator=generator)
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(images, 1.0))
    ours = staple(members_of(*masks.astype(int)))
    assert ours[1] == pytest.approx(theirs, abs=1e-12)
    assert ours[0] == pytest.approx(1 - theirs, abs=1e-12)


def test_staple_believes_two_good_raters_against_three_bad_ones():
    generator, truth = np.random.default_rng(1), square()
    misses, inventions = [0.02, 0.02, 0.65, 0.65, 0.65], [0.005, 0.005, 0.01, 0.01, 0.01]
    members = members_of(*raters(truth, misses=misses, inventions=inventions, generator=generator).astype(int))
    wrong = {name: int((FUSIONS[name](members).argmax(0) != truth).sum()) for name in ("majority", "staple")}
    assert wrong["staple"] <= 6
    assert wrong["majority"] >= 10 * max(wrong["staple"], 1)


def test_staple_estimates_how_good_the_raters_are():
    """Its prior, the share of called pixels, is close to the truth where few pixels are invented."""
    generator, truth = np.random.default_rng(2), square(128)
    misses, inventions = [0.05, 0.3, 0.5, 0.1], [0.001, 0.002, 0.004, 0.001]
    found = consensus(raters(truth, misses=misses, inventions=inventions, generator=generator))
    assert found.sensitivity == pytest.approx(1 - np.array(misses), abs=0.04)
    assert found.specificity == pytest.approx(1 - np.array(inventions), abs=0.002)


def test_staple_is_a_fixed_point_of_the_papers_equations():
    """Warfield et al. 2004: the probability follows from the raters' rates (E step) and they from it (M step)."""
    generator, truth = np.random.default_rng(5), square()
    masks = raters(truth, misses=[0.1, 0.2, 0.3, 0.4], inventions=[0.02, 0.02, 0.05, 0.1], generator=generator)
    found = consensus(masks)
    p, q, weight = found.sensitivity[:, None, None], found.specificity[:, None, None], found.probability
    true = masks.mean() * np.where(masks, p, 1 - p).prod(0)
    false = (1 - masks.mean()) * np.where(masks, 1 - q, q).prod(0)
    assert true / (true + false) == pytest.approx(weight, abs=1e-4)
    assert (masks * weight).sum((1, 2)) / weight.sum() == pytest.approx(found.sensitivity, abs=1e-4)
    assert (~masks * (1 - weight)).sum((1, 2)) / (1 - weight).sum() == pytest.approx(found.specificity, abs=1e-4)


def test_staple_of_three_classes_weighs_raters_and_keeps_probabilities():
    generator = np.random.default_rng(3)
    truth = np.zeros((48, 48), int)
    truth[8:24, 8:40], truth[24:40, 8:40] = 1, 2
    worse = [0.02, 0.02, 0.6, 0.6, 0.6]
    maps = [np.where(generator.random(truth.shape) < share, 0, truth) for share in worse]
    fused = staple(members_of(*maps, classes=3))
    assert fused.sum(0) == pytest.approx(np.ones(truth.shape))
    assert fused.min() >= 0
    wrong = (fused.argmax(0) != truth).sum(), (majority(members_of(*maps, classes=3)).argmax(0) != truth).sum()
    assert wrong[0] < wrong[1] / 10


@pytest.mark.parametrize("how", FUSIONS)
def test_members_that_agree_are_believed_to_the_bit(how):
    class_map = np.zeros((8, 8), int)
    class_map[2:4, 2:4], class_map[5, 5] = 1, 2
    members = members_of(*[class_map] * 4, classes=3)
    assert (FUSIONS[how](members) == members[0]).all()
    assert (FUSIONS[how](members[:1]) == members[0]).all(), "a single member"
    nothing = members_of(*[np.zeros((8, 8), int)] * 3)
    assert (FUSIONS[how](nothing) == nothing[0]).all(), "all empty"
    full = members_of(*[np.ones((8, 8), int)] * 3)
    assert (FUSIONS[how](full) == full[0]).all(), "all full"


@pytest.mark.parametrize("how", FUSIONS)
def test_fused_values_are_probabilities_and_do_not_depend_on_the_order_of_members(how):
    generator = np.random.default_rng(4)
    for classes, count in ((2, 2), (3, 5), (4, 25)):
        members = generator.dirichlet(np.ones(classes), size=(count, 6, 7)).transpose(0, 3, 1, 2).astype(np.float32)
        fused = fuse(members, how)
        assert fused.dtype == np.float32
        assert fused.shape == members.shape[1:]
        assert fused.min() >= 0
        assert fused.sum(0) == pytest.approx(1, abs=1e-5)
        assert fuse(members[::-1], how) == pytest.approx(fused, abs=1e-5)


def test_one_member_alone_with_a_speck_does_not_make_a_lesion():
    speck = np.zeros((30, 30), int)
    speck[3, 3] = 1
    members = members_of(speck, *[np.zeros((30, 30), int)] * 24)
    assert not FUSIONS["staple"](members).argmax(0).any()
    assert np.isfinite(FUSIONS["staple"](members)).all()


def test_bad_input():
    good = members_of(np.zeros((4, 4), int))
    with pytest.raises(InputError, match="mean, majority, staple"):
        fuse(good, "median")
    with pytest.raises(InputError, match="two classes"):
        fuse(good[:, :1], "mean")
    with pytest.raises(InputError, match="at least one member"):
        fuse(good[:0], "majority")
    with pytest.raises(InputError, match="NaN"):
        fuse(good * np.nan, "mean")
    with pytest.raises(InputError, match="bool"):
        consensus(np.zeros((2, 4, 4)))
