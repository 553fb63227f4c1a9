"""Several sequences in one cell of a manifest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.formats.nifti import save_volume
from meddiff.manifest.table import read_manifest, write_manifest
from tests.manifest.rows import example_row


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a/b.nii.gz", ["a/b.nii.gz"]),
        ("a/b_{t1,flair}.nii.gz", ["a/b_t1.nii.gz", "a/b_flair.nii.gz"]),
        ("a/{x.nii,y.nii.gz,z.nii}", ["a/x.nii", "a/y.nii.gz", "a/z.nii"]),
        ("a/{b}.png", ["a/{b}.png"]),  # a name that only looks alike
        ("a/{b,}.png", ["a/{b,}.png"]),
        ("{a,b}/{c,d}.nii", ["{a,b}/{c,d}.nii"]),
    ],
)
def test_the_files_of_a_row(path, names):
    row = example_row("a", root=Path("root"), image_path=path)
    assert row.image_files == tuple(Path("root") / name for name in names)


def test_sequences_survive_a_manifest_and_each_must_exist(tmp_path):
    for name in ("t1", "t2"):
        save_volume(np.zeros((2, 2, 2), dtype=np.uint8), tmp_path / f"{name}.nii", affine=None)
    row = example_row("a", root=tmp_path, image_path="{t1,t2}.nii")
    write_manifest([row], tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == [row]
    write_manifest([replace(row, image_path="{t1,flair}.nii")], tmp_path / "manifest.csv")
    with pytest.raises(InputError, match=r"line 2: .*flair\.nii"):
        read_manifest(tmp_path / "manifest.csv")
