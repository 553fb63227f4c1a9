"""The audit of whole volumes: each planted fault is found, and nothing where there is none."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from meddiff.audit import audit
from meddiff.manifest.row import COLUMNS, ManifestRow
from tests.dicom_series import write_series

SHAPE = (20, 24, 16)


def write(path, array, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(array, affine).to_filename(path)


@pytest.fixture
def volumes(tmp_path):
    """Eight heads with a ball each, two of them to judge."""
    generator = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    rows = []
    for number in range(8):
        center = np.array(SHAPE) / 2 + generator.uniform(-4, 4, 3)
        ball = np.linalg.norm(places - center, axis=-1) < 5
        texture = generator.normal(0, 20, [size // 4 for size in SHAPE]).repeat(4, 0).repeat(4, 1).repeat(4, 2)
        write(tmp_path / f"{number}.nii.gz", (300 + texture + 200 * ball).astype(np.float32), np.diag([1, 1, 2, 1]))
        write(tmp_path / f"{number}_mask.nii.gz", ball.astype(np.uint8), np.diag([1, 1, 2, 1]))
        told = {"row_id": str(number), "dataset": "balls", "patient_id": str(number), "source": "real"}
        told |= {"image_path": f"{number}.nii.gz", "mask_path": f"{number}_mask.nii.gz"}
        told["split"] = "test" if number > 5 else "train"
        rows.append(ManifestRow(**(dict.fromkeys(COLUMNS) | told), root=tmp_path))
    return rows


def changed(row, *, image=None, mask=None, affine=None):
    """Write the row's image or mask anew."""
    for file, change in ((row.image_file, image), (row.mask_file, mask)):
        if change is not None:
            old = nibabel.load(file)
            array = change(np.asanyarray(old.dataobj))
            write(file, array, old.affine if affine is None else affine)


def test_clean_volumes_have_no_fault(volumes):
    assert not audit(volumes)


def test_each_planted_fault_is_named(volumes):
    changed(volumes[0], mask=lambda mask: 1 - mask)
    changed(volumes[1], mask=np.zeros_like)
    changed(volumes[2], mask=lambda mask: mask, affine=np.diag([1, 1, 3, 1]))
    changed(volumes[3], mask=lambda mask: mask[:-1])
    changed(volumes[4], image=lambda image: np.full_like(image, 7))
    changed(volumes[5], image=lambda image: np.where(image > 480, np.nan, image))
    found = {(one.kind, file): one.sentence for one in audit(volumes) for file in one.files}
    assert set(found) == {
        ("mask inverted", "0_mask.nii.gz"),
        ("mask empty", "1_mask.nii.gz"),
        ("mask unusable", "2_mask.nii.gz"),
        ("mask unusable", "3_mask.nii.gz"),
        ("constant image", "4.nii.gz"),
        ("unreadable", "5.nii.gz"),
    }
    assert "lies elsewhere" in found["mask unusable", "2_mask.nii.gz"]
    assert "[19, 24, 16]" in found["mask unusable", "3_mask.nii.gz"]
    assert "not finite" in found["unreadable", "5.nii.gz"]


def test_a_copy_in_another_orientation_across_splits_is_named(volumes):
    """Turned by its affine and scaled: the same head under another name."""
    image = nibabel.load(volumes[0].image_file)
    turned = image.as_reoriented(nibabel.orientations.axcodes2ornt("PIR"))
    write(volumes[0].root / "copy.nii", np.asanyarray(turned.dataobj) * 3 + 5, turned.affine)
    copy = replace(
        volumes[0], row_id="copy", patient_id="other", split="test", image_path="copy.nii", mask_path=None
    )  # fmt: skip
    (one,) = audit([*volumes, copy])
    assert (one.kind, set(one.files)) == ("copies across splits", {"0.nii.gz", "copy.nii"})


def test_dicom_series_are_looked_into(volumes, tmp_path):
    write_series(tmp_path / "series")
    row = replace(volumes[0], image_path="series", mask_path=None)
    for path in ("series", "series/0.dcm#series"):
        assert not audit([replace(row, image_path=path)])
    (tmp_path / "series" / "1.dcm").unlink()
    (one,) = audit([row])
    assert (one.kind, one.severity) == ("unreadable", "serious")
    assert "slice distances are uneven" in one.sentence
