"""Whether a mask lies on its image is one question: training, evaluation and audit give the same answer."""

import numpy as np
import pytest

from meddiff.audit.image_facts import facts_of
from meddiff.cache.volume_array import cache_volumes
from meddiff.errors import InputError
from meddiff.evaluation.masks.pairs import check_pair, read_mask
from meddiff.formats.nifti import save_volume
from meddiff.formats.volume import SAME_PLACE
from meddiff.images.case import truth_of, volume_case
from meddiff.images.prepare import VolumeTransform
from tests.formats.volume_files import affine_of
from tests.manifest.rows import example_row

SHIFTS = [0.01, 0.05, 0.09, 0.11, 0.2, 0.5, 1.0]
SPACING = (2.0, 1.0, 3.0)
SHORTEST = 1


def accepted(work, *arguments, **options) -> bool:
    try:
        work(*arguments, **options)
    except InputError as error:
        if "lies elsewhere" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "ILP"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_mask_beside_its_image_is_accepted_everywhere_or_nowhere(tmp_path, orientation, shift):
    array = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    affine = affine_of(orientation, SPACING)
    beside = affine.copy()
    beside[:3, 3] += shift * affine[:3, SHORTEST]  # by that part of the voxel's shortest edge
    save_volume(array, tmp_path / "image.nii", affine=affine)
    save_volume((array > 0).astype(np.uint8), tmp_path / "on.nii", affine=affine)
    save_volume((array > 0).astype(np.uint8), tmp_path / "beside.nii", affine=beside)
    row = example_row("a", root=tmp_path, image_path="image.nii", mask_path="beside.nii")
    answers = {
        "training": accepted(cache_volumes, [row], VolumeTransform(), with_masks=True, folder=tmp_path / "cache"),
        "evaluation of a run": accepted(truth_of, row, volume_case(row, VolumeTransform())),
        "evaluation of files": accepted(check_pair, read_mask(tmp_path / "on.nii"), read_mask(tmp_path / "beside.nii")),
        "audit": "lies elsewhere" not in (facts_of(row).mask_problem or ""),
    }
    assert set(answers.values()) == {shift <= SAME_PLACE}, answers
