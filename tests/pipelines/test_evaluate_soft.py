"""``evaluate masks`` where probabilities, members, uncertainties and other raters lie beside the masks."""

import io

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from meddiff.errors import InputError
from meddiff.jobs.evaluate.masks import run
from meddiff.recipe.commands import EvaluateMasks

CASES = 6
SQUARE = np.zeros((20, 24), np.uint8)
SQUARE[5:15, 6:16] = 1


def png(path, values):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def folders(tmp_path):
    """Masks moved more and more, probabilities of 0.9 and 0.1, an uncertainty that rises with the error."""
    for number in range(CASES):
        moved = np.roll(SQUARE, number, axis=1)
        png(tmp_path / "truth" / f"c{number}.png", SQUARE * 255)
        png(tmp_path / "ours" / f"c{number}_mask.png", moved)
        png(
            tmp_path / "ours" / f"c{number}_probability_lesion.png", np.where(SQUARE > 0, 58982, 6554).astype(np.uint16)
        )
        png(tmp_path / "ours" / f"c{number}_entropy.png", SQUARE * 9)
    told = pd.DataFrame({"name": [f"c{n}" for n in range(CASES)], "uncertainty": np.arange(CASES) / CASES})
    told.to_csv(tmp_path / "ours" / "predictions.csv", index=False)
    return tmp_path


def evaluated(folder, **settings):
    told = {"truth": str(folder / "truth"), "prediction": str(folder / "ours"), "out": str(folder / "out")}
    console = Console(width=200, record=True, file=io.StringIO())
    report = run(EvaluateMasks(**(told | {"resamples": 200} | settings)), console)
    return report, pd.read_csv(folder / "out" / "cases.csv"), console.export_text()


def test_probabilities_by_pencil(folders):
    report, cases, text = evaluated(folders)
    assert cases["nll"].to_numpy() == pytest.approx(-np.log(0.9), abs=1e-4)
    assert cases["brier"].to_numpy() == pytest.approx(0.02, abs=1e-4)
    assert report.calibration_errors["ece"].item() == pytest.approx(0.1, abs=1e-4)
    curve = pd.read_csv(folders / "out" / "froc.csv").set_index("threshold")
    assert curve.loc[0.5, ["sensitivity", "invented_per_image"]].tolist() == [1, 0]
    assert curve.loc[0.95, "sensitivity"] == 0
    assert report.uncertainty["auroc"].item() == 1, "Dice falls below 0.8 from the third case on"
    assert "ECE" in text
    assert "without truth" not in text, "what lies beside a mask is no mask"


def test_members_that_are_the_raters_have_no_distance_to_them(folders):
    left, right = np.roll(SQUARE, -2, axis=1), np.roll(SQUARE, 2, axis=1)
    for number in range(CASES):
        png(folders / "second" / f"c{number}.png", right)
        png(folders / "truth" / f"c{number}.png", left)
        png(folders / "theirs" / f"c{number}.png", left)
        for member, mask in enumerate((left, right)):
            png(folders / "ours" / f"c{number}_member_{member:02d}.png", mask)
    _, cases, text = evaluated(folders, raters=str(folders / "second"), against=str(folders / "theirs"))
    ged = cases.groupby("model")["ged"].mean()
    assert ged["ours"] == pytest.approx(0)
    apart = 1 - 60 / 140  # IoU of squares four pixels apart
    assert ged["theirs"] == pytest.approx(2 * apart / 2 - apart / 2), "d to the second rater, less the raters' own"
    means = pd.read_csv(folders / "out" / "probabilities.csv").set_index(["model", "metric"])
    assert means.loc[("ours", "ged"), "difference"] == pytest.approx(-apart / 2)
    assert "energy distance to the raters" in text


def test_what_only_some_cases_have_is_not_used_and_told(folders):
    (folders / "ours" / "c0_probability_lesion.png").unlink()
    report, cases, text = evaluated(folders)
    assert "ours: probabilities of 5 of 6 cases were found: not used" in text
    assert "nll" not in cases
    assert len(report.uncertainty) == 1
    (folders / "ours" / "c0_mask.png").unlink()
    report, _, text = evaluated(folders)
    assert "uncertainty of 5 of 6 cases were found: not used" in text
    assert report.uncertainty.empty


def test_volumes_of_several_classes(tmp_path):
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    truth = np.zeros((8, 9, 7), np.uint8)
    truth[1:4, 1:4, 1:4], truth[5:7, 5:8, 2:6] = 1, 2
    for name, array in (("truth/a", truth), ("ours/a_mask", truth)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        nibabel.Nifti1Image(array, affine).to_filename(tmp_path / f"{name}.nii.gz")
    for index, name in ((1, "core_part"), (2, "rim")):
        soft = np.where(truth == index, 0.8, 0.1).astype(np.float32)
        nibabel.Nifti1Image(soft, affine).to_filename(tmp_path / "ours" / f"a_probability_{name}.nii.gz")
    _, cases, _ = evaluated(tmp_path, classes="1=core part,2=rim")
    right = (truth > 0).mean() * -np.log(0.8) + (truth == 0).mean() * -np.log(0.8)
    assert cases["nll"].to_numpy() == pytest.approx(right, abs=1e-5), "background is what the others leave"
    with pytest.raises(InputError, match=r"no probabilities of class_1, class_2 beside .* but of core_part, rim"):
        evaluated(tmp_path)


def test_probabilities_that_are_none(folders):
    png(folders / "ours" / "c0_probability_lesion.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match=r"its grid is \(4, 4\), that of the truth"):
        evaluated(folders)
    png(folders / "ours" / "c0_probability_lesion.png", SQUARE * 255)
    png(folders / "ours" / "c0_probability_background.png", SQUARE * 255)
    with pytest.raises(InputError, match="do not sum to 1"):
        evaluated(folders)
    with pytest.raises(InputError, match="name folders of other raters"):
        evaluated(folders, raters=",")
