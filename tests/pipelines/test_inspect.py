"""The inspect command on files of one's own making."""

import tempfile
import zipfile

import nibabel
import numpy as np
from dicom_series import PLANTED, write_series
from PIL import Image
from rich.console import Console

from meddiff.formats.open import load_volume
from meddiff.formats.volume import Volume
from meddiff.images.views import three_planes
from meddiff.pipelines.inspect import main, run
from meddiff.recipe.commands import Inspect


def told(settings: Inspect) -> tuple[int, str]:
    console = Console(width=250, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    return run(settings, console), console.export_text()


def test_a_folder_with_everything(tmp_path):
    write_series(tmp_path / "good")
    write_series(tmp_path / "gap", 5, SeriesInstanceUID="1.2.9", SeriesNumber=9)
    (tmp_path / "gap" / "2.dcm").unlink()
    nibabel.save(
        nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.diag([2, 2, 3, 1])), tmp_path / "x.nii"
    )
    (tmp_path / "broken.nii.gz").write_bytes(b"no")
    (tmp_path / "photo.jpg").write_bytes(b"")
    unreadable, text = told(Inspect(str(tmp_path), str(tmp_path / "out" / "m.png")))
    assert unreadable == 2
    for words in ("good: series 7 thorax", "6 x 5 x 4", "0.25 x 0.5 x 3", "LPS", "HU", "slices are missing",
                  "x.nii", "2 x 2 x 3", "RAS", "broken.nii.gz", "4 volumes, 2 of them", "1 .jpg"):  # fmt: skip
        assert words in text
    assert not [value for value in PLANTED.values() if str(value) in text]
    with Image.open(tmp_path / "out" / "m.png") as picture:
        assert picture.width > 3 * 192
        assert picture.height > 2 * 192


def test_names_are_whole_in_a_narrow_terminal(tmp_path):
    """They are there to be copied; facts and problems may wrap."""
    name = "a-study-with-a-long-name/of-a-patient/and-a-series/volume.nii.gz"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"no")
    console = Console(width=40, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    run(Inspect(str(tmp_path)), console)
    assert name in console.export_text().splitlines()


def test_exit_codes(tmp_path, capsys):
    write_series(tmp_path / "good")
    assert main([str(tmp_path)]) == 0
    (tmp_path / "broken.nii").write_bytes(b"no")
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_an_archive_is_inspected_like_a_folder_and_leaves_nothing(tmp_path, monkeypatch):
    """Problems name the file in the archive; a name that looks like markup stays as it is."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    write_series(tmp_path / "study" / "[b]good[/i]", SeriesDescription="[/red]")
    (tmp_path / "study" / "broken.nii").write_bytes(b"no")
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in sorted((tmp_path / "study").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "study"))
    unreadable, text = told(Inspect(str(tmp_path / "study.zip")))
    assert unreadable == 1
    for words in ("[b]good[/i]: series 7 [/red]", "2 volumes, 1 of them", "! broken.nii: the file is cut off"):
        assert words in text
    assert "temporary" not in text
    assert not list((tmp_path / "temporary").iterdir())


def test_planes_are_upright_whatever_the_order_of_the_axes(tmp_path):
    """A bright corner at the patient's right, front and head, in every axis order, at the right aspect."""
    right_front_head = np.zeros((8, 12, 20), dtype=np.uint8)
    right_front_head[4:, 6:, 10:] = 200
    for codes in ("RAS", "LPS", "PIR", "SRA", "ALI"):
        image = nibabel.Nifti1Image(right_front_head, np.diag([3.0, 2.0, 1.0, 1.0]))
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(image.as_reoriented(turn), tmp_path / "x.nii")
        volume = load_volume(tmp_path / "x.nii")
        assert "".join(volume.orientation or ()) == codes
        axial, coronal, sagittal = three_planes(volume, 24)
        assert axial.shape == (24, 24)
        assert axial[4, 4] == 255, "right is left, the front is up"
        assert not axial[20, 20]
        assert coronal[3, 4] == 255, "right is left, the head is up"
        assert not coronal[21, 21]
        assert sagittal[4, 4] == 255, "the front is left, the head is up"
        assert not sagittal[-3:, -3:].any()
        assert coronal[:, 12].any()
        assert not coronal[:2].all(), "20 x 24 mm is not square"


def test_planes_of_one_slice_and_of_color(tmp_path):
    affine = np.eye(4)
    gray = Volume(np.arange(20.0).reshape(4, 5, 1), affine, (1.0, 1.0, None), ("R", "A", "S"))
    axial, coronal, _ = three_planes(gray, 16)
    assert axial.any()
    assert not coronal.any()
    color = Volume(np.full((4, 5, 6, 3), 7, dtype=np.uint8), None, (None, None, None), None, color=True)
    assert three_planes(color, 16)[0].shape == (16, 16, 3)


def test_a_folder_of_pictures_says_how_many_how_large_which_classes_and_names_the_audit(tmp_path):
    top = tmp_path / "my pictures"
    for name, count in (("nevus", 4), ("melanoma", 2)):
        (top / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB" if number else "L", (30 + number, 20)).save(top / name / f"{number}.png")
    Image.new("L", (30, 20)).save(top / "nevus" / "1_mask.png")
    (top / "melanoma" / "broken.jpg").write_bytes(b"no")
    unreadable, text = told(Inspect(str(top)))
    assert unreadable == 0, "entries are volumes"
    for words in ("no volume; 8 files (7 .png, 1 .jpg)", "8 pictures, 1 of them masks: 20 x 30..33 pixels",
                  "4 in color, 3 gray", "classes, if folders are classes: nevus 4, melanoma 3",
                  "! melanoma/broken.jpg: no picture that can be read", f"inspect --audit '{top}'"):  # fmt: skip
        assert words in text, text
    assert "audit" not in told(Inspect(str(top / "nevus" / "0.png")))[1]
    (tmp_path / "masks").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "masks" / "a_mask.png")
    assert "1 picture: 8 x 8 pixels" in told(Inspect(str(tmp_path / "masks")))[1]
    assert "pixels" not in told(Inspect(write_volume(tmp_path)))[1]


def write_volume(folder) -> str:
    nibabel.save(nibabel.Nifti1Image(np.arange(8.0).reshape(2, 2, 2), np.eye(4)), folder / "x.nii")
    return str(folder / "x.nii")
