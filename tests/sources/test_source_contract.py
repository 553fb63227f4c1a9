"""Every data set that assembly names keeps the promises of a source."""

import layouts
import pytest
import volume_layouts
from contracts import check_source

from meddiff.build import SOURCES
from meddiff.sources import phantom


def draw_phantoms(root) -> None:
    phantom.write(phantom.rows("dermoscopy", seed=0, count=4), root, size=16)


TREES = {
    "isic": layouts.ham10000,
    "brain_tumor": layouts.brain_tumor,
    "image_folder": layouts.image_folder,
    "hippocampus": volume_layouts.hippocampus,
    "hippocampus_volumes": volume_layouts.hippocampus,
    "lgg": volume_layouts.lgg,
    "brats": volume_layouts.brats,
    "nifti_folder": volume_layouts.nifti_folder,
    "dicom_folder": volume_layouts.dicom_folder,
    "bids": volume_layouts.bids,
    "phantom": draw_phantoms,
}


@pytest.mark.parametrize("name", SOURCES)
def test_source(name, tmp_path):
    TREES[name](tmp_path)
    check_source(SOURCES[name], tmp_path)


def test_the_name_is_the_one_that_it_is_found_under():
    assert {name: source.name for name, source in SOURCES.items()} == {name: name for name in SOURCES}
