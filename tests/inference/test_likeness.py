"""An image that is unlike all of training is said to be so, and few of those that are like it are."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from meddiff.errors import InputError
from meddiff.inference.likeness import LEVEL, Likeness, Verdict, canonical, together
from meddiff.sources import phantom

SIDE = 64


def drawn(kind: str, count: int, folder) -> list[np.ndarray]:
    """Phantoms [3, 64, 64] in [-1, 1]."""
    rows = phantom.write(phantom.rows(kind, seed=1, count=count), folder, size=SIDE)
    return [as_seen(Image.open(row.image_file)) for row in rows]


def as_seen(picture: Image.Image) -> np.ndarray:
    return np.moveaxis(np.asarray(picture.convert("RGB"), dtype=np.float32) / 127.5 - 1, 2, 0)


def as_picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint((np.moveaxis(image, 0, 2) + 1) * 127.5).astype(np.uint8))


@pytest.fixture(scope="module")
def skin(tmp_path_factory):
    return drawn("dermoscopy", 360, tmp_path_factory.mktemp("skin"))


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    return drawn("brain_mri", 40, tmp_path_factory.mktemp("brains"))


@pytest.fixture(scope="module")
def known(skin):
    likeness = Likeness.fitted(skin[:200], [str(n) for n in range(200)], skin[200:260], ["dermoscopy"] * 200)
    assert likeness is not None
    return likeness


def share_unlike(known, images) -> float:
    return float(np.mean([known.verdict(image).unlike for image in images]))


def test_few_images_like_those_of_training_are_called_unlike(known, skin):
    assert share_unlike(known, skin[260:]) <= 3 * LEVEL
    assert np.mean([known.verdict(image).p < 0.5 for image in skin[260:]]) == pytest.approx(0.5, abs=0.2)


def with_sticker(image: np.ndarray, color: str) -> np.ndarray:
    picture = as_picture(image)
    ImageDraw.Draw(picture).ellipse((3, 3, 27, 27), fill=color)
    return as_seen(picture)


OTHERS = {
    "a blue sticker": lambda image: with_sticker(image, "blue"),
    "a green sticker": lambda image: with_sticker(image, "lime"),
    "noise": lambda image: np.random.default_rng(0).uniform(-1, 1, image.shape).astype(np.float32),
    "black": lambda image: np.full_like(image, -1),
    "white": lambda image: np.ones_like(image),
    "negative": lambda image: -image,
    "gray": lambda image: np.repeat(image.mean(axis=0, keepdims=True), 3, axis=0),
    "other order of colors": lambda image: image[::-1],
    "a page of text": lambda image: as_seen(page()),
}


def page() -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    for line in range(2, SIDE, 8):
        ImageDraw.Draw(picture).text((2, line), "lorem ipsum", fill="black")
    return picture


@pytest.mark.parametrize("other", OTHERS)
def test_what_was_never_seen_is_called_unlike(known, skin, other):
    assert share_unlike(known, [OTHERS[other](image) for image in skin[260:300]]) >= (
        0.8 if other == "other order of colors" else 0.9
    )


def test_another_organ_is_unlike_in_both_directions(known, skin, brains):
    assert share_unlike(known, brains) == 1
    other = Likeness.fitted(brains, [str(n) for n in range(40)], [], ["MR"] * 40)
    assert share_unlike(other, skin[:40]) == 1
    assert known.verdict(brains[0]).p < 2 * LEVEL


def test_a_gray_network_tells_organs_apart_by_texture_alone(skin, brains):
    gray = [image.mean(axis=0, keepdims=True) for image in skin]
    known = Likeness.fitted(gray[:200], [str(n) for n in range(200)], gray[200:260], [None])
    assert share_unlike(known, gray[260:]) <= 3 * LEVEL
    assert share_unlike(known, [image.mean(axis=0, keepdims=True) for image in brains]) >= 0.95


@pytest.mark.parametrize(
    ("trained", "given", "unlike"),
    [("dermoscopy", "MR", True), ("dermoscopy", None, False), ("dermoscopy", "XC", False), ("MR", "CT", True),
     ("MR", "MR", False), ("MRI", "MR", False), ("CT", "MR", True), ("", "CT", False), ("fundus", "CT", False)],
)  # fmt: skip
def test_another_modality_is_unlike_whatever_the_image(known, skin, trained, given, unlike):
    verdict = replace(known, modalities=(trained,) if trained else ()).verdict(skin[0], modality=given)
    assert verdict.unlike == unlike
    assert any("modality" in reason for reason in verdict.reasons) == unlike


def test_volumes_are_told_apart_too():
    generator = np.random.default_rng(0)
    smooth = [np.cumsum(generator.normal(0, 0.1, (1, 12, 14, 10)), axis=1).clip(-1, 1) for _ in range(60)]
    known = Likeness.fitted(smooth[:40], [str(n) for n in range(40)], smooth[40:50], ["MR"])
    assert share_unlike(known, smooth[50:]) <= 0.2
    assert share_unlike(known, [generator.uniform(-1, 1, (1, 12, 14, 10)) for _ in range(5)]) == 1


def test_too_few_images_cannot_tell(skin):
    assert Likeness.fitted(skin[:10], [str(n) for n in range(10)], [], []) is None
    assert Likeness.fitted(skin[:60], ["one"] * 60, [], []) is None


def test_of_gray_pictures_stored_in_color_those_in_color_are_unlike(skin):
    gray = [OTHERS["gray"](image) for image in skin]
    known = Likeness.fitted(gray[:200], [str(n) for n in range(200)], gray[200:260], [None])
    known = Likeness.from_dict(known.to_dict())
    assert share_unlike(known, gray[260:]) <= 3 * LEVEL
    assert share_unlike(known, skin[260:]) == 1


def test_it_is_kept_as_json(known, skin):
    again = Likeness.from_dict(known.to_dict())
    assert again.verdict(skin[300]).p == pytest.approx(known.verdict(skin[300]).p, abs=0.01)
    kind = {"center": [0.0, 1.0], "whitening": [[1.0]]}
    for name, value in (("kinds", [kind]), ("usual", [0.0]), ("scores", [float("nan")]), ("scores", []), ("kinds", 3)):
        with pytest.raises(InputError, match="damaged"):
            Likeness.from_dict(known.to_dict() | {name: value})
    with pytest.raises(InputError, match="damaged"):
        Likeness.from_dict({})


def test_slices_of_a_volume_are_judged_together():
    seen, new = Verdict(0.6, ()), Verdict(0.001, ("far",))
    assert not together([seen, seen, new], [1, 1, 1]).unlike
    assert together([seen, seen, new], [1, 1, 9]).reasons == ("far",)
    assert together([new, seen], [2, 1]).p == 0.001


def test_modalities_have_one_name():
    assert [canonical(name) for name in ("mri", " MR ", "PET", None)] == ["MR", "MR", "PT", ""]
