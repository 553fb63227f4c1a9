"""edit: holes filled, classes changed, on a user's own pictures, whatever their size and type."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.pipelines import classify, edit
from tests.pipelines import small


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("edit")
    images = small.draw(place / "images", {"a": 24, "b": 24, "c": 24})
    assert classify.main(small.arguments(place, place / "run", "--data-root", images)) == 0
    return place / "run"


KINDS = {
    "square.png": (24, 24, 3, np.uint8),
    "wide.png": (20, 43, 3, np.uint8),
    "tall.png": (35, 20, 3, np.uint8),
    "gray.png": (25, 30, None, np.uint8),
    "deep.png": (25, 30, None, np.uint16),
    "tiny.png": (7, 9, 3, np.uint8),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, (name, (height, width, channels, dtype)) in enumerate(KINDS.items()):
        shape = (height, width) if channels is None else (height, width, channels)
        pixels = np.random.default_rng(number).integers(0, np.iinfo(dtype).max, shape, dtype)
        Image.fromarray(pixels).save(folder / name)
    return folder


def edited(run, place, out, *more, method="inpaint"):
    words = ["--checkpoint", run, "--input", place, "--output", out, "--method", method, "--steps", "4", *more]
    assert edit.main([str(word) for word in words]) == 0
    return pd.read_csv(out / "edits.csv").set_index("name")


def pixels_of(path):
    return np.asarray(Image.open(path))


FEW = "--jump", "2", "--passes", "2"


def test_all_but_the_hole_is_the_input_to_the_bit_in_every_size_and_type(run, photos, tmp_path):
    table = edited(run, photos, tmp_path / "out", *FEW, "--box", "1,1,4,3;5,4,2,2", "--label", "b")
    hole = np.zeros((50, 50), dtype=bool)
    hole[1:4, 1:5] = hole[4:6, 5:7] = True
    assert len(table) == len(KINDS)
    for name in KINDS:
        before, after = pixels_of(photos / name), pixels_of(tmp_path / "out" / name.replace(".png", "_edit.png"))
        inside = hole[: before.shape[0], : before.shape[1]]
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        assert np.array_equal(after[~inside], before[~inside])
        assert not np.array_equal(after[inside], before[inside])
    assert (table["change_outside"] == 0).all()
    assert (table["change_inside"] > 0).all()
    assert table.loc["square", "changed_share"] == pytest.approx(16 / 24**2, abs=1e-5)
    assert {"class_before", "class_after", "p_before", "p_after", "flipped"} <= set(table.columns)
    assert (tmp_path / "out" / "overview.png").is_file()


def test_an_edit_is_the_same_alone_and_among_others_and_stands_when_run_again(run, photos, tmp_path):
    how = *FEW, "--box", "1,1,4,3", "--members", "2"
    table = edited(run, photos, tmp_path / "all", *how)
    alone = edited(run, photos / "wide.png", tmp_path / "one", *how)
    assert table.loc["wide", "seeds"] == alone.loc["wide", "seeds"]
    for file in ("wide_edit.png", "wide_member_01.png"):
        assert (tmp_path / "all" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    assert len(set(table["seeds"])) == len(KINDS)
    stamp = (tmp_path / "all" / "wide_edit.png").stat().st_mtime_ns
    (tmp_path / "all" / "tall_edit.png").unlink()
    edited(run, photos, tmp_path / "all", *how)
    assert (tmp_path / "all" / "wide_edit.png").stat().st_mtime_ns == stamp
    assert (tmp_path / "all" / "tall_edit.png").is_file()


def test_masks_have_the_names_of_their_pictures_and_another_mask_is_another_edit(run, photos, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, (height, width, *_) in KINDS.items():
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 255
        Image.fromarray(mask).save(masks / (name if name != "gray.png" else "gray_mask.png"))
    edited(run, photos, tmp_path / "out", *FEW, "--mask", masks)
    for name, (height, *_) in KINDS.items():
        before, after = pixels_of(photos / name), pixels_of(tmp_path / "out" / name.replace(".png", "_edit.png"))
        assert np.array_equal(after[height // 2 :], before[height // 2 :])
    Image.fromarray(255 - pixels_of(masks / "square.png")).save(masks / "square.png")
    edited(run, photos, tmp_path / "out", *FEW, "--mask", masks)
    before, after = pixels_of(photos / "square.png"), pixels_of(tmp_path / "out" / "square_edit.png")
    assert np.array_equal(after[:12], before[:12])
    (masks / "tiny.png").unlink()
    table = edited(run, photos, tmp_path / "fewer", *FEW, "--mask", masks)
    assert "--mask holds no mask of the name tiny" in table.loc["tiny", "problem"]


@pytest.mark.parametrize("method", ["sdedit", "invert"])
def test_a_class_is_changed_in_the_whole_picture_or_in_a_box(run, photos, tmp_path, method):
    whole = edited(run, photos, tmp_path / "whole", "--label", "b", method=method)
    assert whole["change_outside"].isna().all()
    assert (whole["change_inside"] > 0).all()
    after = pixels_of(tmp_path / "whole" / "wide_edit.png")  # the network sees the middle square
    assert np.array_equal(after[:, :11], pixels_of(photos / "wide.png")[:, :11])
    part = edited(run, photos, tmp_path / "part", "--label", "b", "--box", "2,2,4,4", method=method)
    assert (part["change_outside"] == 0).all()
    assert (part["change_inside"] > 0).all()


def test_where_no_hair_is_seen_the_picture_is_left_as_it_was(run, tmp_path):
    Image.fromarray(np.full((40, 40, 3), 180, np.uint8)).save(tmp_path / "bare.png")
    table = edited(run, tmp_path / "bare.png", tmp_path / "out", "--remove", "hairs")
    assert table.loc["bare", "note"] == "no hairs seen: left as it was"
    assert np.array_equal(pixels_of(tmp_path / "bare.png"), pixels_of(tmp_path / "out" / "bare_edit.png"))


REFUSED = {
    "nowhere": (("--method", "inpaint"), "inpaint fills a hole: say where with --mask, --box"),
    "members": (("--method", "invert", "--members", "2"), "all members would be one"),
    "own_label": (("--method", "sdedit", "--own_label", "a"), "--own_label belongs to --method invert"),
    "strength": (("--method", "sdedit", "--strength", "0"), "--strength 0 changes nothing"),
    "much": (("--method", "sdedit", "--strength", "1.5"), "strength"),
    "class": (("--method", "sdedit", "--label", "d"), "--label 'd': the generator knows no such class, but a, b, c"),
    "box": (("--method", "inpaint", "--box", "1,2,3"), "--box '1,2,3': a box is x,y,width,height in pixels"),
    "empty box": (("--method", "inpaint", "--box", "1,2,3,0"), "a box is x,y,width,height in pixels"),
    "beyond": (("--method", "inpaint", "--box", "20,20,9,9"), "the box 20,20,9,9 reaches beyond the picture, 24 x 24"),
    "no mask": (("--method", "inpaint", "--mask", "nothing"), "nothing"),
    "method": (("--method", "paint", "--box", "1,1,2,2"), "method"),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED)
def test_mistakes_end_in_a_sentence(run, photos, tmp_path, capsys, words, sentence):
    places = ["--checkpoint", run, "--input", photos / "square.png", "--output", tmp_path / "out"]
    assert edit.main([str(word) for word in (*places, *words)]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out" / "square_edit.png").exists()


def test_a_mask_of_another_size_or_without_a_hole_fails_its_picture_alone(run, photos, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, size, value in (("square", (24, 24), 255), ("wide", (20, 20), 255), ("gray", (25, 30), 0)):
        mask = np.full(size, value, np.uint8)
        mask[0] = 0
        Image.fromarray(mask).save(masks / f"{name}.png")
    table = edited(run, photos, tmp_path / "out", *FEW, "--mask", masks)
    assert "20 x 20 pixels, its picture" in table.loc["wide", "problem"]
    assert "is all background" in table.loc["gray", "problem"]
    assert table["problem"].isna().sum() == 1
