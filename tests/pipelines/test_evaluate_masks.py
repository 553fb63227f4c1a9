"""``evaluate masks`` on folders as tools leave them: PNG, NIfTI, nnU-Net's names, missing and foreign files."""

import io
import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from meddiff.errors import InputError
from meddiff.jobs.evaluate.masks import run
from meddiff.pipelines.evaluate import main
from meddiff.recipe.commands import EvaluateMasks

SQUARE = np.zeros((20, 24), np.uint8)
SQUARE[5:15, 6:16] = 1


def png(folder, name, mask, scale=255):
    folder.mkdir(exist_ok=True)
    Image.fromarray((mask * scale).astype(np.uint8)).save(folder / name)


def nifti(folder, name, mask, affine=None):
    folder.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(mask.astype(np.uint8), np.diag([2.0, 1.0, 1.5, 1.0]) if affine is None else affine)
    nibabel.save(image, folder / name)


@pytest.fixture
def folders(tmp_path):
    """Six cases: truths as ISIC names them, predictions as 0 and 255, shifted more and more."""
    for number in range(6):
        png(tmp_path / "truth", f"case_{number}_segmentation.png", SQUARE)
        png(tmp_path / "ours", f"case_{number}.png", np.roll(SQUARE, number, axis=1))
        png(tmp_path / "theirs", f"case_{number}_pred.png", np.roll(SQUARE, number + 1, axis=1))
    return tmp_path


def evaluated(folder, **settings):
    told = {
        "truth": folder / "truth",
        "prediction": folder / "ours",
        "out": folder / "out",
        "resamples": 200,
    } | settings
    texts = {
        name: str(value) if name not in ("resamples", "ignore_geometry") else value for name, value in told.items()
    }
    console = Console(width=220, record=True, file=io.StringIO())
    report = run(EvaluateMasks(**texts), console)
    return report, pd.read_csv(folder / "out" / "cases.csv", keep_default_na=False), console.export_text()


def test_scores_of_shifted_squares_by_pencil(folders):
    report, cases, text = evaluated(folders)
    assert cases["case"].tolist() == [f"case_{number}_segmentation" for number in range(6)]
    assert cases["dice"].tolist() == pytest.approx([1 - number / 10 for number in range(6)])
    assert cases["hausdorff"].tolist() == pytest.approx(list(range(6)))
    assert set(cases["unit"]) == {"px"}
    assert sorted(path.name for path in (folders / "out").iterdir()) == [
        "cases.csv", "references.bib", "report.html", "report.json", "report.md", "summary.csv"]  # fmt: skip
    summary = pd.read_csv(folders / "out" / "summary.csv")
    assert summary[summary["metric"] == "dice"]["mean"].item() == pytest.approx(0.75)
    assert "Mean Dice of ours is 0.750" in text
    assert "6 pairs, 6 of them by the name without its ending" in text
    page = (folders / "out" / "report.html").read_text(encoding="utf-8")
    assert "ours" in page
    assert "Patient" not in page.partition('id="methods"')[0], "nobody has named any"
    assert len(report.gallery) == 6


def test_two_models_are_compared_case_by_case(folders):
    report, cases, text = evaluated(folders, against=folders / "theirs", names="A,B")
    assert report.differences["difference"].tolist() == pytest.approx([0.1])
    assert "Whether A is better than the best baseline, B, cannot be judged on 6 test cases: mean Dice 0.750" in text
    assert cases.groupby("model")["dice"].mean().to_dict() == pytest.approx({"A": 0.75, "B": 0.65})


def test_a_missing_prediction_is_a_failure_or_left_out_as_told(folders):
    (folders / "ours" / "case_0.png").unlink()
    png(folders / "ours", "stranger.png", SQUARE)
    report, cases, text = evaluated(folders)
    missing = cases[cases["case"] == "case_0_segmentation"].iloc[0]
    assert (missing["dice"], missing["failure"]) == (0, "no prediction")
    assert len(cases) == 6
    assert "1 truth without prediction (case_0_segmentation.png)" in text
    assert "1 prediction without truth (stranger.png)" in text
    assert report.summary["n_failures"].unique().tolist() == [1]
    _, cases, _ = evaluated(folders, on_missing="skip", against=folders / "theirs")
    assert cases.groupby("model")["case"].nunique().to_dict() == {"ours": 5, "theirs": 5}, "left out for both"


def test_volumes_are_scored_in_millimeters_and_slices_as_pictures(tmp_path):
    truth = np.zeros((10, 12, 6), np.uint8)
    truth[2:8, 3:9, 1:5] = 1
    truth[2:4, 3:9, 1:5] = 3
    nifti(tmp_path / "truth", "a.nii.gz", truth)
    nifti(tmp_path / "ours", "a.nii.gz", np.roll(truth, 1, axis=0))
    (tmp_path / "ours" / "dataset.json").write_text("{}")  # nnU-Net leaves such files beside its masks
    (tmp_path / "ours" / "a.npz").write_bytes(b"")
    report, cases, _ = evaluated(tmp_path, classes="1=body,3=head")
    assert cases["class_name"].tolist() == ["body", "head"]
    assert cases["hausdorff"].tolist() == [2.0, 2.0]
    assert set(cases["unit"]) == {"mm"}
    assert "slice" in report.gallery[0].caption
    _, inferred, _ = evaluated(tmp_path)
    assert inferred["class_name"].tolist() == ["class 1", "class 3"]


def test_a_single_slice_is_no_volume(tmp_path):
    nifti(tmp_path / "truth", "a.nii.gz", SQUARE[..., None])
    nifti(tmp_path / "ours", "a_0000.nii.gz", np.roll(SQUARE, 1, axis=0)[..., None])
    _, cases, _ = evaluated(tmp_path)
    assert cases["hausdorff"].tolist() == [2.0]
    assert cases["dice"].tolist() == [0.9]
    assert cases["nsd"].tolist() == [1.0]


def test_spacing_and_patients_as_told(folders):
    for number in range(6):
        png(folders / "images", f"case_{number}.png", SQUARE, scale=201)
    report, cases, _ = evaluated(folders, spacing_mm="1,0.5", patient=r"case_\d", images=folders / "images")
    assert cases["hausdorff"].tolist() == pytest.approx([number / 2 for number in range(6)])
    assert cases["patient"].tolist() == [f"case_{number}" for number in range(6)]
    assert report.group_noun == "patient"
    assert report.gallery[0].image.max() == 201, "the picture that was given"


def test_the_command_says_what_is_wrong(folders, capsys):
    there = ["masks", "--truth", str(folders / "truth"), "--out", str(folders / "out")]
    assert main([*there, "--prediction", str(folders / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main([*there, "--prediction", str(folders / "ours"), "--resamples", "100"]) == 0
    plain = json.loads((folders / "out" / "report.json").read_text(encoding="utf-8"))
    assert plain["provenance"]["options"]["on_missing"] == "fail"
    capsys.readouterr()
    assert main([*there, "--prediction", "x", "--on-missing", "guess"]) == 2
    assert "on_missing: expected one of 'fail', 'skip'. Got value: guess" in capsys.readouterr().err


def test_a_published_pair(capsys):
    assert main(["published", "--dice", "0.8", "--iou", "0.66", "--decimals", "4"]) == 0
    assert "cannot belong" in capsys.readouterr().out
    assert main(["published", "--dice", "0.8", "--iou", "0.7"]) == 0
    assert "can be of the same masks" in capsys.readouterr().out
    assert main(["published", "--dice", "80", "--iou", "70"]) == 2


@pytest.mark.parametrize(
    ("change", "settings", "match"),
    [
        (lambda f: png(f / "ours", "case_1.png", SQUARE[:, :-1]), {}, r"case_1.png is \(20, 23\)"),
        (lambda f: png(f / "ours", "case_1_pred.png", SQUARE), {}, "both of case 'case_1'"),
        (lambda f: png(f / "ours", "case_1.png", SQUARE * 2, scale=1), {}, r"values \[2\], which are none of 1="),
        (lambda f: png(f / "truth", "case_1_segmentation.png", SQUARE + (SQUARE.cumsum(0) > 4), scale=127), {},
         "could be classes or soft edges"),
        (lambda f: (f / "ours" / "case_1.png").write_bytes(b"\x89PNG broken"), {}, "case_1.png"),
        (lambda f: None, {"classes": "lesion"}, "value=name"),
        (lambda f: None, {"classes": "1=a,2=a"}, "once"),
        (lambda f: None, {"spacing_mm": "1"}, "2 positive numbers"),
        (lambda f: None, {"patient": r"patient_\d"}, "is not found in the case name"),
        (lambda f: None, {"patient": "("}, "no regular expression"),
        (lambda f: None, {"names": "a,b,c"}, "one name each"),
        (lambda f: [path.rename(path.with_name(f"x{path.name}")) for path in (f / "ours").iterdir()], {}, "files of a"),
        (lambda f: [path.unlink() for path in (f / "ours").iterdir()], {}, "holds no mask"),
    ],
)  # fmt: skip
def test_bad_input(folders, change, settings, match):
    change(folders)
    with pytest.raises(InputError, match=match):
        evaluated(folders, **settings)


def test_volumes_that_lie_elsewhere_are_refused_unless_told(tmp_path):
    truth = np.zeros((6, 7, 8), np.uint8)
    truth[2:4, 2:4, 2:4] = 1
    nifti(tmp_path / "truth", "a.nii.gz", truth)
    moved = np.diag([2.0, 1.0, 1.5, 1.0])
    moved[:3, 3] = 0, 3, 4
    nifti(tmp_path / "ours", "a.nii.gz", truth, moved)
    with pytest.raises(InputError, match="5 mm away"):
        evaluated(tmp_path)
    _, cases, _ = evaluated(tmp_path, ignore_geometry=True)
    assert cases["dice"].tolist() == [1.0]


def test_pictures_and_volumes_do_not_mix(tmp_path):
    png(tmp_path / "truth", "a.png", SQUARE)
    nifti(tmp_path / "ours", "a.nii.gz", SQUARE[..., None])
    with pytest.raises(InputError, match="a picture and a volume"):
        evaluated(tmp_path)


def test_results_do_not_go_into_what_is_read(folders):
    for name in ("truth", "ours"):
        with pytest.raises(InputError, match="is a folder that is read"):
            evaluated(folders, out=folders / "out" / ".." / name)
    assert sorted(path.name for path in folders.iterdir()) == ["ours", "theirs", "truth"]


def test_two_folders_may_store_one_thing_in_two_ways(tmp_path):
    for number in range(3):
        shifted = np.roll(SQUARE, number, axis=0)
        png(tmp_path / "truth", f"c{number}.png", SQUARE, scale=255)
        for name, scale in (("ours", 1), ("theirs", 255)):
            png(tmp_path / name, f"c{number}.png", shifted, scale=scale)
    _, cases, _ = evaluated(tmp_path, against=tmp_path / "theirs")
    dice = cases.pivot_table(index="case", columns="model", values="dice")
    assert dice["ours"].tolist() == dice["theirs"].tolist()
    _, named, _ = evaluated(tmp_path, classes="255=lesion")
    assert named["dice"].tolist() == dice["ours"].tolist()
    assert set(named["class_name"]) == {"lesion"}


def test_grays_colors_and_rims_are_scored_once_they_are_named(tmp_path):
    classes = SQUARE + np.roll(SQUARE, 3, axis=1)
    for number in range(2):
        truth = np.array([0, 128, 255], np.uint8)[classes]
        truth[0] = 7
        png(tmp_path / "truth", f"c{number}.png", truth, scale=1)
        png(tmp_path / "ours", f"c{number}.png", np.roll(classes, number, axis=0), scale=1)
    with pytest.raises(InputError, match=r"could be classes or soft edges.*--classes"):
        evaluated(tmp_path)
    with pytest.raises(InputError, match=r"has the values \[1, 2\], which are none of 128=disc, 255=cup"):
        evaluated(tmp_path, classes="128=disc,255=cup,7=ignore")
    for number in range(2):
        gray = np.array([0, 128, 255], np.uint8)[np.roll(classes, number, axis=0)]
        gray[0] = 255
        png(tmp_path / "ours", f"c{number}.png", gray, scale=1)
    _, cases, _ = evaluated(tmp_path, classes="128=disc,255=cup,7=ignore")
    assert cases.loc[cases["case"] == "c0", "dice"].tolist() == [1.0, 1.0], "the first row is not judged"
    assert set(cases["class_name"]) == {"disc", "cup"}


CUP = np.zeros((20, 24), np.uint8)
CUP[8:12, 9:13] = 1
DISC = SQUARE - CUP
BY_CLASS = {
    "beside whole predictions": (["{0}_cup.png", "{0}_disc.png"], ["{0}.png"], ""),
    "called as tools do": (["{0}_cup_gt.png", "{0}_mask_disc.png"], ["{0}_pred.png"], ""),
    "in folders of cases": (["{0}/cup.png", "{0}/disc.png"], ["{0}.png"], ""),
    "in folders of classes": (["cup/{0}.png", "disc/{0}.png"], ["{0}.png"], ""),
    "both, which say so": (["{0}_mask_cup.png", "{0}_mask_disc.png"], ["{0}_mask_cup.png", "{0}_mask_disc.png"], ""),
    "both, and images": (["{0}_cup.png", "{0}_disc.png"], ["{0}_disc.png", "{0}_cup.png"], "{0}.png"),
    "predictions alone": (["{0}.png"], ["{0}_cup.png", "{0}_disc.png"], ""),
}


def masks_of_classes(folder, forms, case, shift):
    """One file of both classes, or a file per class."""
    for form in forms:
        both = np.where(CUP, 1, 2 * DISC) if len(forms) == 1 else CUP if "cup" in form else DISC
        (folder / form.format(case)).parent.mkdir(parents=True, exist_ok=True)
        png(folder, form.format(case), np.roll(both, shift, axis=1), 1 if len(forms) == 1 else 255)


@pytest.mark.parametrize("kind", BY_CLASS)
def test_files_of_one_class_each_are_one_mask(tmp_path, kind):
    truth, prediction, image = BY_CLASS[kind]
    for number, case in enumerate(("p1", "p2", "p2_2")):
        masks_of_classes(tmp_path / "truth", truth, case, 0)
        masks_of_classes(tmp_path / "ours", prediction, case, number)
        if image:
            png(tmp_path / "images", image.format(case), SQUARE)
    more = {"images": tmp_path / "images"} if image else {}
    _, cases, text = evaluated(tmp_path, classes="1=cup,2=disc", **more)
    assert sorted(set(cases["case"].map(lambda case: case.removesuffix("_pred")))) == ["p1", "p2", "p2_2"]
    scores = cases.pivot(index="case", columns="class_name", values="dice")
    assert scores["cup"].tolist() == pytest.approx([1, 3 / 4, 2 / 4])
    assert f"of one class each are {6 if len(truth) == len(prediction) else 3} masks" in text


def test_a_case_whose_name_begins_with_that_of_another_is_a_case(tmp_path):
    for name in ("p1.png", "p1_flipped.png", "p2.png"):
        png(tmp_path / "truth", name, SQUARE)
    for name in ("p1.png", "p2.png"):
        png(tmp_path / "ours", name, SQUARE)
    _, cases, text = evaluated(tmp_path)
    assert cases["case"].tolist() == ["p1", "p1_flipped", "p2"]
    assert "1 truth without prediction (p1_flipped.png)" in text


def test_a_file_of_one_class_beside_one_of_all_is_asked_about(tmp_path):
    for name in ("p1.png", "p1_cup.png", "p2_cup.png"):
        png(tmp_path / "truth", name, SQUARE)
    for name in ("p1.png", "p2.png"):
        png(tmp_path / "ours", name, SQUARE)
    with pytest.raises(InputError, match=r"p1_cup\.png is of one class of 'p1', and another file of all its classes"):
        evaluated(tmp_path)


def test_files_of_one_class_must_lie_on_each_other(tmp_path):
    volume = np.stack([SQUARE] * 3, axis=2)
    nifti(tmp_path / "truth", "p1_cup.nii.gz", volume)
    nifti(tmp_path / "truth", "p1_disc.nii.gz", volume * 0, np.diag([2.0, 1.0, 3.0, 1.0]))
    nifti(tmp_path / "ours", "p1.nii.gz", volume)
    with pytest.raises(InputError, match=r"p1_disc\.nii\.gz lies elsewhere than .*p1_cup\.nii\.gz"):
        evaluated(tmp_path, classes="1=cup,2=disc")
