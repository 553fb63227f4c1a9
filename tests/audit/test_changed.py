"""An image or mask that has changed since a run was begun is noticed by every stage that would use it."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.audit.changed import changed_files, note_contents
from meddiff.files.long_tables import write_table
from meddiff.formats import save_image
from meddiff.formats.nifti import save_volume
from meddiff.manifest.row import blank_row
from meddiff.manifest.table import write_manifest
from meddiff.pipelines import augment, build_manifest, synthesize, train
from meddiff.recipe import Recipe
from meddiff.run import Run, RunFolder
from tests.dicom_series import write_series
from tests.pipelines.small import arguments, draw


def change(file, *, times: bool = False) -> None:
    """Another image of the same size, on request with the times of the old one."""
    state = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    if times:
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.fixture
def run(tmp_path):
    """A run whose rows are a picture with a mask, a pair, two sequences, a folder and a file of a DICOM series."""
    data = tmp_path / "data"
    save_image(np.zeros((4, 5, 3), np.uint8), data / "a.png")
    save_image(np.zeros((4, 5), np.uint8), data / "a_mask.png")
    for name in ("p_t1.nii.gz", "p_t2.nii.gz"):
        save_volume(np.zeros((3, 4, 5), np.uint8), data / name, affine=None)
    import nibabel

    nibabel.save(nibabel.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)), data / "pair.img")
    write_series(data / "folder")
    write_series(data / "series", SeriesInstanceUID="1.2.9")
    paths = ("a.png", "pair.hdr", "p_{t1,t2}.nii.gz", "folder", "series/0.dcm#series")
    rows = [blank_row(str(number), path, data) for number, path in enumerate(paths)]
    write_manifest(rows, tmp_path / "run" / "manifest.csv", root=data)
    table = (tmp_path / "run" / "manifest.csv").read_text().replace("a.png,,", "a.png,a_mask.png,")
    (tmp_path / "run" / "manifest.csv").write_text(table)
    made = Run(Recipe(data_root=str(data)), RunFolder(tmp_path / "run"))
    note_contents(made)
    return made


FILES = ("a.png", "a_mask.png", "pair.hdr", "pair.img", "p_t1.nii.gz", "p_t2.nii.gz", "folder/2.dcm", "series/3.dcm")


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_every_file_counts(run, name, times):
    assert changed_files(run) == []
    change(run.root / name, times=times)
    assert changed_files(run) == [name]


def test_times_alone_and_new_files_do_not_count(run):
    for name in FILES:
        os.utime(run.root / name, (1, 1))
    write_series(run.root / "series" / "other", SeriesInstanceUID="1.2.10")
    assert changed_files(run) == []


@pytest.mark.parametrize("name", ["x" * 5000, "a" * 300 + "/b.png", "a\0b", "", ".", "/dev/zero", "../../nowhere"])
def test_names_that_no_disk_takes_are_not_there(tmp_path, name):
    run = Run(Recipe(), RunFolder(tmp_path))
    write_table(pd.DataFrame([[name, "1 2 3 4", "0" * 64]], columns=["file", "state", "sha256"]), run.folder.contents)
    assert changed_files(run) == []


@pytest.fixture
def study(tmp_path):
    """A finished run, and the words of its command."""
    draw(tmp_path / "images", {"red": 24, "green": 24, "blue": 24})
    words = arguments(tmp_path, tmp_path / "run", "--data-root", tmp_path / "images")
    assert build_manifest.main(words) == 0
    return tmp_path, words


def test_before_anything_is_learned_the_manifest_is_made_anew(study, capsys):
    place, words = study
    assert "done before" not in capsys.readouterr().out
    assert build_manifest.main(words) == 0
    assert "1/1 manifest: done before" in capsys.readouterr().out
    Image.new("RGB", (24, 20)).save(place / "images" / "red" / "03.jpg")
    assert build_manifest.main(words) == 0
    assert "done before" not in capsys.readouterr().out
    assert build_manifest.main(words) == 0
    assert "done before" in capsys.readouterr().out


@pytest.mark.slow
def test_no_stage_goes_on_with_another_image(study, capsys):
    place, words = study
    file = place / "images" / "red" / "03.jpg"
    before = file.read_bytes()
    for earlier, later in ((train, synthesize), (synthesize, augment), (augment, augment)):
        assert earlier.main(words) == 0
        contents = {path: path.read_bytes() for path in (place / "run").rglob("*") if path.is_file()}
        Image.new("RGB", (24, 20)).save(file)
        capsys.readouterr()
        assert later.main(words) == 2
        assert "have changed: red/03.jpg" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in (place / "run").rglob("*") if path.is_file()} == contents
        file.write_bytes(before)
