"""``evaluate masks`` on SEG, RTSTRUCT and masks of numbers, each against each; and on files of one name in folders."""

import io

import numpy as np
import pytest
from rich.console import Console

from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.formats.open import load_volume
from meddiff.jobs.evaluate.masks import run
from meddiff.recipe.commands import EvaluateMasks
from tests.formats.drawn_files import outline, rtstruct, seg
from tests.formats.test_drawn import series, shapes
from tests.pipelines.test_evaluate_masks import SQUARE, png


def evaluated(folder, **settings):
    told = {"truth": "truth", "prediction": "ours", "out": "out"} | settings
    texts = {name: str(folder / value) if name in ("truth", "prediction", "out", "images") else value
             for name, value in told.items()}  # fmt: skip
    console = Console(width=220, record=True, file=io.StringIO())
    return run(EvaluateMasks(**texts, resamples=100), console)


def write(kind: str, folder, image, drawn) -> None:
    folder.mkdir(exist_ok=True)
    if kind == "SEG":
        seg(folder / "case.dcm", image, drawn, axes="Ij", seed=1)
    elif kind == "RTSTRUCT":
        rtstruct(folder / "case.dcm", image, {name: outline(marked) for name, marked in drawn})
    else:
        numbers = sum(number * marked for number, (_, marked) in enumerate(drawn, 1))
        save_volume(np.asarray(numbers, np.uint8), folder / "case.nii.gz", affine=load_volume(image).affine)


def other() -> list[tuple[str, np.ndarray]]:
    """The disc of `shapes` without one voxel of its twelve and more, the cup beside itself."""
    (_, disc), (_, cup) = shapes()
    less, moved = disc.copy(), np.roll(cup, 1, axis=2)
    less[0, 0, 0] = False
    return [("disc", less & ~moved), ("cup", moved & ~less)]


@pytest.mark.parametrize("truth", ["SEG", "RTSTRUCT", "numbers"])
@pytest.mark.parametrize("prediction", ["SEG", "RTSTRUCT", "numbers"])
def test_each_kind_against_each(tmp_path, truth, prediction):
    image = series(tmp_path / "images" / "case", "about two axes")
    write(truth, tmp_path / "truth", image, shapes())
    write(prediction, tmp_path / "ours", image, other())
    known = {"classes": "1=disc,2=cup"} if "numbers" in (truth, prediction) else {}
    report = evaluated(tmp_path, images="images", **known)
    dice = report.cases.set_index("class_name")["dice"]
    for (name, one), (_, two) in zip(shapes(), other(), strict=True):
        assert dice[name] == pytest.approx(2 * (one & two).sum() / (one.sum() + two.sum())), name
    assert 0 < dice["disc"] < 1


def test_numbers_are_the_grid_of_what_was_drawn(tmp_path):
    image = series(tmp_path / "in")
    write("SEG", tmp_path / "truth", image, shapes()[:1])
    write("numbers", tmp_path / "ours", image, other()[:1])
    assert 0 < evaluated(tmp_path).cases["dice"].item() < 1


def test_what_cannot_be_known_is_asked_for(tmp_path):
    image = series(tmp_path / "images" / "case")
    write("SEG", tmp_path / "truth", image, shapes())
    write("SEG", tmp_path / "ours", image, other())
    with pytest.raises(InputError, match=r"is read on the voxels of the image it was drawn on: name .*--images"):
        evaluated(tmp_path)
    (tmp_path / "ours" / "case.dcm").unlink()
    write("numbers", tmp_path / "ours", image, other())
    with pytest.raises(InputError, match=r"holds numbers and the truths names: .*--classes NUMBER=disc,NUMBER=cup"):
        evaluated(tmp_path)
    both = [("disc", shapes()[0][1] | shapes()[1][1]), shapes()[1]]
    write("SEG", tmp_path / "truth", image, both)
    with pytest.raises(InputError, match=r"'disc' and 'cup' share \d+ voxels.*--mask_overlap"):
        evaluated(tmp_path, classes="1=disc,2=cup")
    assert len(evaluated(tmp_path, classes="1=disc,2=cup", mask_overlap="later").cases) == 2


def test_a_prediction_that_names_no_class_found_none(tmp_path):
    image = series(tmp_path / "images" / "case")
    write("SEG", tmp_path / "truth", image, shapes())
    write("SEG", tmp_path / "ours", image, shapes()[:1])
    dice = evaluated(tmp_path, images="images").cases.set_index("class_name")["dice"]
    assert (dice["disc"], dice["cup"]) == (1, 0)


def test_files_of_one_name_are_paired_by_their_folders(tmp_path):
    for number in range(3):
        for kind, shift in (("truth", 0), ("ours", number)):
            (tmp_path / kind).mkdir(exist_ok=True)
            png(tmp_path / kind / f"patient_{number}", "mask.png", np.roll(SQUARE, shift, axis=1))
    cases = evaluated(tmp_path).cases
    assert dict(zip(cases["case"], cases["dice"], strict=True)) == pytest.approx(
        {f"patient_{number}/mask": 1 - number / 10 for number in range(3)}
    )
