"""Images for the training loops of others, and from them: what goes out comes in again."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.data.utils import decollate_batch
from PIL import Image

import meddiff
from meddiff.batches.images import Images
from meddiff.cache.image_array import decode
from meddiff.errors import InputError
from meddiff.images.prepare import Transform
from tests.manifest.rows import draw_pictures

WAYS = {"torch": "torch", "monai": "monai", "torchio": "torchio", "datasets": "datasets"}


@pytest.fixture
def images(tmp_path, monkeypatch) -> Images:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for image in range(3):
            pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{image}.png")
    return meddiff.read_images(tmp_path / "photos", size=16)


def handed(images: Images, way: str):
    pytest.importorskip(WAYS[way], reason=f"{way} is not installed: its data sets were not made", exc_type=ImportError)
    return getattr(images, f"as_{way}")()


@pytest.mark.parametrize("way", WAYS)
def test_what_goes_out_comes_in_again(images, way):
    out = handed(images, way)
    assert len(out) == len(images)
    again = meddiff.read_images(out, size=16)
    torch.testing.assert_close(again.batch(range(6)).image, images.batch(range(6)).image, atol=1e-6, rtol=0)
    named = [images.class_names[label] for label in images.labels]
    if way in ("monai", "torchio"):  # they have no names of classes
        named = [str(label) for label in images.labels]
    assert [again.class_names[label] for label in again.labels] == named
    twice = meddiff.read_images(out, size=16)
    assert [row.image_file for row in twice.rows] == [row.image_file for row in again.rows]


def test_a_torch_loader_and_a_monai_loader_take_them(images):
    for loader in (
        torch.utils.data.DataLoader(images.as_torch(), batch_size=4),
        DataLoader(images.as_monai(), batch_size=4),
    ):
        batch = next(iter(loader))
        assert batch["image"].shape == (4, 3, 16, 16)
        torch.testing.assert_close(torch.as_tensor(batch["image"]), images.batch(range(4)).image)
        assert batch["label"].tolist() == images.labels[:4].tolist()
    assert isinstance(decollate_batch(batch)[0]["image"], MetaTensor)


@pytest.mark.parametrize("way", ["torch", "monai", "torchio", "datasets"])
def test_masks_go_out_too(tmp_path, way):
    rows = draw_pictures(tmp_path, masks=True)
    square = Transform(20, "stretch", 3, with_masks=True)
    images = Images(decode(rows, square, folder=tmp_path / "cache"))
    item = handed(images, way)[2]
    mask = item["mask"]
    mask = mask.data[..., 0] if way == "torchio" else mask
    np.testing.assert_array_equal(np.squeeze(np.asarray(mask)), images.pair(2)[1])


@pytest.mark.parametrize(
    "given",
    [
        [(torch.full((3, 8, 8), value), label) for value, label in ((0.2, 0), (1.0, 1))],
        [{"image": np.full((8, 8, 3), value, np.uint8), "label": name} for value, name in ((51, "0"), (255, "1"))],
        [
            {"img": Image.new("RGB", (8, 8), (value,) * 3), "label": torch.tensor(k)}
            for k, value in enumerate((51, 255))
        ],
        [(torch.full((1, 8, 8), value), k) for k, value in enumerate((-0.6, 1.0))],
        [(np.full((8, 8), value, np.int64), k) for k, value in enumerate((51, 255))],
    ],
)
def test_ways_in_which_others_write_one_picture(given, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = meddiff.read_images(given, size=8)
    assert images.class_names == ("0", "1")
    torch.testing.assert_close(
        images.batch([0, 1]).image.mean(dim=(1, 2, 3)), torch.tensor([-0.6, 1.0]), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "holds no image"),
        (3, "this is a int"),
        ([{"picture": 1}], "none of them is image"),
        ([torch.zeros(1, 4, 4, 4)], "a picture is numbers"),
        ([torch.full((3, 8, 8), 300.0)], "values from 300 to 300"),
        ([np.full((8, 8), np.nan)], "values from nan"),
    ],
)
def test_what_is_no_picture_is_refused(given, said, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=said):
        meddiff.read_images(given, size=8)


def test_a_missing_package_is_a_sentence(images, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchio", None)
    with pytest.raises(InputError, match=r"torchio cannot be imported .*: pip install torchio"):
        images.as_torchio()
