"""Labels that a data set of another year numbers otherwise: said before anything is learned from them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from meddiff.errors import InputError
from meddiff.formats.masks import MaskAt, decide, masks_found
from meddiff.jobs.segment.mask_values import MaskValues
from meddiff.manifest.row import blank_row

RECIPE = Path(__file__).parents[2] / "pipelines" / "segment" / "brats.yaml"


def masks(folder: Path, *labels: int) -> tuple[list, list]:
    """Two heads whose masks hold these labels, and their rows."""
    values = np.repeat(np.array([0, *labels], np.uint8), 20).reshape(-1, 5, 4)
    rows = []
    for number in range(2):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{number}_seg.nii.gz")
        row = blank_row(str(number), f"{number}_t1.nii.gz", folder)
        rows.append(type(row)(**{**vars(row), "mask_path": f"{number}_seg.nii.gz", "split": "train"}))
    held = masks_found([MaskAt.of(row) for row in rows])
    assert not held.bad
    return list(held.levels), rows


def classes() -> tuple[str, ...]:
    return tuple(yaml.safe_load(RECIPE.read_text())["classes"])


@pytest.mark.parametrize("labels", [(1, 2, 4), (1, 2, 3, 4)])
def test_the_numbers_of_2012_to_2021_are_those_of_the_recipe(tmp_path, labels):
    levels, rows = masks(tmp_path, *labels)
    values = MaskValues({one.path: one for one in levels}, decide(levels, names=classes()), classes())
    assert [values.meaning.index_of(label) for label in labels] == list(labels)
    notes = values.check(rows)
    assert any("no mask holds 'non-enhancing tumor'" in note for note in notes) == (3 not in labels)


def test_those_of_2023_stop_with_what_to_do_and_can_be_named(tmp_path):
    levels, rows = masks(tmp_path, 1, 2, 3)
    values = MaskValues({one.path: one for one in levels}, decide(levels, names=classes()), classes())
    with pytest.raises(InputError, match=r"no mask holds 'enhancing tumor'; the masks hold .*--data\.mask_values"):
        values.check(rows)
    text = "0=background,1=necrosis,2=edema,3=enhancing tumor"
    named = MaskValues({one.path: one for one in levels}, decide(levels, names=classes(), text=text), classes())
    assert named.meaning.index_of(3) == 4
    assert any("no mask holds 'non-enhancing tumor'" in note for note in named.check(rows))
