"""One picture never lies in two splits without a word, under whatever name, format and bit depth it comes twice."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from meddiff.audit.study import repeated
from meddiff.errors import InputError, Problems
from meddiff.jobs import job
from meddiff.manifest.row import parse_row
from meddiff.recipe import Recipe, from_dict
from meddiff.run import Run

SIDE, COUNT = 48, 24


def pictures() -> list[np.ndarray]:
    """Gray pictures [48, 48] uint8 that are not alike."""
    coarse = np.random.default_rng(3).uniform(0, 255, (COUNT, 12, 12)).astype(np.float32)
    return [_scaled(one, SIDE).clip(0, 255).astype(np.uint8) for one in coarse]


def _scaled(picture: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def _nifti(path: Path, picture: np.ndarray) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(picture.astype(np.int16)[..., None], np.eye(4)), path)


SAME: dict[str, tuple[str, Callable[[Path, np.ndarray], object]]] = {
    "bytes": (".png", lambda path, one: Image.fromarray(one).save(path)),
    "other packing": (".png", lambda path, one: Image.fromarray(one).save(path, compress_level=1)),
    "tiff": (".tif", lambda path, one: Image.fromarray(one).save(path)),
    "bmp": (".bmp", lambda path, one: Image.fromarray(one).save(path)),
    "color file": (".png", lambda path, one: Image.fromarray(np.stack([one] * 3, 2)).save(path)),
    "16 bit": (".png", lambda path, one: Image.fromarray(one.astype(np.uint16) * 257).save(path)),
    "12 of 16 bit": (".tif", lambda path, one: Image.fromarray(one.astype(np.uint16) * 16).save(path)),
    "fine jpeg": (".jpg", lambda path, one: Image.fromarray(one).save(path, quality=98)),
}
NEAR: dict[str, tuple[str, Callable[[Path, np.ndarray], object]]] = {
    "jpeg": (".jpg", lambda path, one: Image.fromarray(one).save(path, quality=70)),
    "smaller": (".png", lambda path, one: Image.fromarray(_scaled(one, 36)).save(path)),
    "larger": (".png", lambda path, one: Image.fromarray(_scaled(one, 80)).save(path)),
    "brighter": (".png", lambda path, one: Image.fromarray((one * 0.9 + 20).astype(np.uint8)).save(path)),
}


@pytest.fixture
def folder(tmp_path) -> Callable[..., Path]:
    """(kind, splits) -> a manifest without patients, in which each picture stands twice; the copy as of that kind."""

    def make(kind: str, splits: tuple[str | None, str | None] = (None, None)) -> Path:
        suffix, save = (SAME | NEAR)[kind]
        lines = []
        for number, one in enumerate(pictures()):
            Image.fromarray(one).save(tmp_path / f"a{number}.png")
            save(tmp_path / f"copy{number}{suffix}", one)
            for split, name in zip(splits, (f"a{number}.png", f"copy{number}{suffix}"), strict=True):
                lines.append({"row_id": name, "dataset": "x", "image_path": name, "label": "ab"[number % 2],
                              "split": split, "source": "real"})  # fmt: skip
        pd.DataFrame(lines).to_csv(tmp_path / "mine.csv", index=False)
        return tmp_path / "mine.csv"

    return make


def stage_1(manifest: Path, **data: object) -> tuple[Run, str]:
    """Run the first stage; the run, and what it printed."""
    values = {"manifest": str(manifest), "out": str(manifest.parent / "run"), "preset": "quick",
              "data": {"image_size": 32, "channels": 1, "cache": str(manifest.parent / "cache"), **data}}  # fmt: skip
    console = Console(record=True, width=200, file=StringIO())
    run = job.run(from_dict(Recipe, values), "manifest", console)
    return run, console.export_text()


def parted(run: Run) -> int:
    """How many pictures lie in two splits."""
    splits: dict[str, set] = {}
    for row in run.rows:
        splits.setdefault(row.row_id.removeprefix("copy").lstrip("a").partition(".")[0], set()).add(row.split)
    assert len(splits) == COUNT
    return sum(len(some) > 1 for some in splits.values())


@pytest.mark.parametrize("kind", [*SAME, *NEAR])
def test_a_split_of_ours_keeps_copies_together_and_says_so(folder, kind):
    run, text = stage_1(folder(kind))
    assert parted(run) == 0
    assert {row.split for row in run.rows} == {"train", "val", "test"}
    found = pd.read_csv(run.folder.findings)
    assert set(found["kind"]) == {"copies kept together"}
    assert len(found) == 2 * COUNT
    assert text.count("no split cuts such a group") == 1


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("splits", [("train", "test"), ("val", "train"), ("test", "val")])
def test_one_picture_in_two_given_splits_stops_the_run(folder, kind, splits):
    manifest = folder(kind, splits)
    with pytest.raises(InputError) as refusal:
        stage_1(manifest)
    told = str(refusal.value)
    assert f"mine.csv: one picture in several splits ({COUNT} times)" in told
    assert re.search(rf"a0.png \({splits[0]}\) = copy0\S+ \({splits[1]}\)", told)
    assert "--data.copies drop" in told
    assert "--data.copies keep" in told
    assert len(told) < 1000
    assert not (manifest.parent / "run").exists()


@pytest.mark.parametrize("kind", ["bytes", "16 bit", *NEAR])
def test_copies_in_given_splits_are_left_out_of_training_or_kept_as_asked(folder, kind):
    manifest = folder(kind, ("train", "test"))
    run, text = stage_1(manifest, copies="drop")
    assert {row.row_id for row in run.rows if row.row_id.startswith("copy")} == {row.row_id for row in run.of("test")}
    assert not run.of("train")
    assert "left out" in text


def test_copies_in_given_splits_are_kept_where_asked(folder):
    run, text = stage_1(folder("bytes", ("train", "test")), copies="keep")
    assert parted(run) == COUNT
    found = pd.read_csv(run.folder.findings)
    assert set(found["kind"]) == {"copies across splits"}
    assert "serious: copies across splits" in text


def test_copies_do_not_lower_the_distance_by_which_synthetic_images_are_judged():
    """A tenth of the held-out images lie in training too: the threshold is that of the others."""
    rows = [_row(f"r{number}") for number in range(COUNT)]
    shown = [one[None] for one in pictures()]
    changed = [np.minimum(one.astype(int) + 3, 255).astype(np.uint8) for one in shown[:3]]
    held_out = [*changed, *shown[12:]]
    copied = repeated(zip(rows, held_out, strict=False), zip(rows, shown[:12], strict=False))
    assert copied.tolist() == [True] * 3 + [False] * (COUNT - 12)


def _row(name: str):
    cells = {"row_id": name, "dataset": "x", "image_path": f"{name}.png", "source": "real"}
    return parse_row(cells, 1, Path(), problems=Problems("x"))
