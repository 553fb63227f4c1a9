"""Copies that are turned or mirrored: all seven, in any format, are found; strangers and drawn images are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from meddiff.audit import duplicates
from meddiff.audit.image_facts import facts_of, facts_of_prepared
from meddiff.audit.study import audit
from meddiff.jobs.audit import Copies
from meddiff.manifest.row import ManifestRow, blank_row

TURNS = {
    "mirrored left to right": np.fliplr, "upside down": np.flipud, "by a quarter": np.rot90, "transposed": np.transpose,
    "by a half": lambda picture: np.rot90(picture, 2), "by three quarters": lambda picture: np.rot90(picture, 3),
    "transposed and by a half": lambda picture: np.rot90(picture, 2).T,
}  # fmt: skip


def blots(seed: int, shape: tuple[int, int] = (90, 90)) -> np.ndarray:
    values = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return np.rint(255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)


def rows_in(folder: Path, **pictures: np.ndarray) -> list[ManifestRow]:
    rows = []
    for name, picture in pictures.items():
        file = name.replace("_", ".")
        Image.fromarray(picture).save(folder / file)
        split = "test" if name.startswith("copy") else "train"
        rows.append(replace(blank_row(name, file, folder), split=split))
    return rows


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_each_turn_is_found_in_both_audits(tmp_path, turn, ending):
    others = {f"s{seed}_png": blots(seed) for seed in range(2, 8)}
    rows = rows_in(tmp_path, one_png=blots(1), **{f"copy_{ending}": TURNS[turn](blots(1))}, **others)
    (finding,) = [one for one in audit(rows) if one.kind == "copies across splits"]
    assert finding.files == ("one.png", f"copy.{ending}")
    assert finding.severity == "serious"
    copies = Copies.among([facts_of(row) for row in rows])
    assert copies.near.tolist() == [[0, 1]]
    assert not len(copies.same), "a picture is refused where it is the same, and said where it is turned"
    free = Copies.among([replace(fact, row=replace(fact.row, split=None)) for fact in map(facts_of, rows)])
    assert free.ties() == [(0, 1)]


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud])
def test_mirrored_slices_and_volumes_are_found_as_they_were_prepared(tmp_path, turn):
    volume = gaussian_filter(np.random.default_rng(0).normal(size=(1, 24, 25, 24)), (0, 3, 3, 3))
    stored = np.rint(65535 * (volume - volume.min()) / np.ptp(volume)).astype(np.uint16)
    mirrored = np.flip(stored, 1 if turn is np.flipud else 3)
    row = blank_row("a", "a.nii", tmp_path)
    facts = [facts_of_prepared(replace(row, row_id=name), image, None)
             for name, image in (("a", stored), ("b", np.ascontiguousarray(mirrored)))]  # fmt: skip
    assert Copies.among(facts).near.tolist() == [[0, 1]]


def test_strangers_and_symmetric_pictures_are_no_copies():
    pictures = [blots(seed, (64, 64)).astype(np.float32) for seed in range(60)]
    pictures += [(picture + picture[:, ::-1]) / 2 for picture in pictures[:30]]  # each its own mirror image
    thumbnails = np.stack([duplicates.thumbnail(picture) for picture in pictures])
    assert not len(duplicates.turned_pairs(thumbnails))
    blank = np.zeros((2, 32, 32), np.uint8)
    assert not len(duplicates.turned_pairs(np.concatenate([thumbnails, blank])))


def test_images_that_were_drawn_by_code_are_not_compared(tmp_path):
    rows = [replace(row, source="phantom") for row in rows_in(tmp_path, a_png=blots(1), b_png=np.fliplr(blots(1)))]
    assert not len(Copies.among([facts_of(row) for row in rows]).near)


def test_the_cost_is_bounded(monkeypatch):
    thumbnails = np.stack([duplicates.thumbnail(turn(blots(1, (64, 64)))) for turn in (np.copy, np.fliplr)])
    assert duplicates.turned_pairs(thumbnails).tolist() == [[0, 1]]
    monkeypatch.setattr(duplicates, "MOST_TURNED", 1)
    assert not len(duplicates.turned_pairs(thumbnails))
