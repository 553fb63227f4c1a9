"""build_manifest --source: a folder of one's own as a manifest to edit."""

import os

import pytest

from meddiff.manifest.table import read_manifest
from meddiff.pipelines import build_manifest
from tests.dicom_series import PLANTED, write_series


@pytest.fixture
def study(tmp_path):
    write_series(tmp_path / "study" / "a", SeriesInstanceUID="1.2.4")
    write_series(tmp_path / "study" / "b", SeriesInstanceUID="1.2.5", PatientID="other", PatientName="Other^Name")
    return tmp_path / "study"


def listed(study, out):
    return build_manifest.main(["--source", "dicom_folder", "--root", str(study), "--out", str(out)])


def test_a_manifest_above_the_images_stands_for_itself(study, tmp_path, capsys):
    assert listed(study, tmp_path / "mine.csv") == 0
    said = capsys.readouterr().out
    assert f"--manifest {tmp_path / 'mine.csv'}\n" in said
    rows = read_manifest(tmp_path / "mine.csv")
    assert [(row.image_path, row.patient_id, row.label) for row in rows] == [
        ("study/a", "patient_0001", None), ("study/b", "patient_0002", None)
    ]  # fmt: skip
    for secret in (*PLANTED.values(), "Other^Name", "1.2.4"):
        assert secret not in (tmp_path / "mine.csv").read_text() + said


def test_elsewhere_it_says_where_the_images_are(study, tmp_path, capsys, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    assert listed(study, tmp_path / "elsewhere" / "mine.csv") == 0
    assert f"--data-root {study}" in capsys.readouterr().out
    rows = read_manifest(tmp_path / "elsewhere" / "mine.csv", root=study)
    assert [row.image_path for row in rows] == ["a", "b"]
    assert build_manifest.main(["--source=dicom_folder", f"--root={os.path.relpath(study)}", "--out=here.csv"]) == 0
    assert [row.image_path for row in read_manifest("here.csv")] == ["study/a", "study/b"]


def test_an_edited_manifest_is_not_written_over(study, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("edited")
    assert listed(study, tmp_path / "mine.csv") == 2
    assert "may have been edited" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text() == "edited"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "dicom_foldr", "--root", "."], "did you mean 'dicom_folder'?"),
        (["--source", "dicom_folder"], "required: root"),
        (["--root", ".", "--source", "dicom_folder", "--outt", "x"], "outt"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert build_manifest.main(words) == 2
    assert said in capsys.readouterr().err
