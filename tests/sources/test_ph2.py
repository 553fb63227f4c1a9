"""PH2: the spreadsheet with a legend above its header, the two text tables that go round, and damaged ones."""

import layouts
import pytest

from meddiff.errors import InputError
from meddiff.sources.isic import ISIC

EXPECTED = {"IMD002": "atypical_nv", "IMD003": "nv", "IMD058": "mel"}


def read(root):
    return {row.row_id: row for row in ISIC.rows(root)}


def test_the_spreadsheet(tmp_path):
    layouts.ph2(tmp_path)
    rows = read(tmp_path)
    assert {name: row.label for name, row in rows.items()} == EXPECTED
    row = rows["IMD003"]
    assert row.image_path.endswith("IMD003_Dermoscopic_Image/IMD003.bmp")
    assert row.mask_path.endswith("IMD003_lesion/IMD003_lesion.bmp")
    assert (row.dataset, row.split, row.modality) == ("ph2", None, "dermoscopy")
    assert "no redistribution" in row.license


@pytest.mark.parametrize("separator", ["||", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_text_table(tmp_path, separator, end):
    layouts.ph2_images(tmp_path)
    lines = layouts.PH2_TEXT
    if separator == "\t":
        lines = (
            "Name\tClinical Diagnosis\tAsymmetry",
            "IMD003\t0\t0",
            "IMD002\t1\t1",
            "IMD058\t2\t0",
            "\t\t",
            "gends f\t\t",
        )
    layouts.table(tmp_path / "PH2Dataset" / "PH2_dataset.txt", *lines, end=end)
    assert {name: row.label for name, row in read(tmp_path).items()} == EXPECTED


def test_the_spreadsheet_is_preferred_to_a_damaged_text(tmp_path):
    layouts.ph2(tmp_path)
    layouts.table(tmp_path / "PH2Dataset" / "PH2_dataset.txt", "Name\tClinical Diagnosis", "IMD003\t2", "IMD2\t2")
    assert read(tmp_path)["IMD003"].label == "nv"


def test_a_damaged_text_alone_is_named(tmp_path):
    layouts.ph2_images(tmp_path)
    layouts.table(tmp_path / "PH2Dataset" / "PH2_dataset.txt", "Name\tClinical Diagnosis", "IMD003\t0", "IMD2\t2")
    with pytest.raises(InputError, match=r"(?s)PH2_dataset\.txt: no diagnosis: line 3.*exactly one"):
        ISIC.rows(tmp_path)


def test_the_images_need_no_table_to_be_segmented(tmp_path, caplog):
    layouts.ph2_images(tmp_path)
    assert {row.label for row in read(tmp_path).values()} == {None}
    assert "3 of 3 images have no diagnosis" in caplog.text


def test_a_line_without_its_image_is_an_error(tmp_path):
    layouts.ph2_images(tmp_path)
    layouts.ph2_spreadsheet(tmp_path, layouts.PH2_MARKS | {"IMD999": 1})
    with pytest.raises(InputError, match=r"1 of 4 images .*IMD999"):
        ISIC.rows(tmp_path)


def test_a_line_without_a_mark_is_an_error(tmp_path):
    layouts.ph2_images(tmp_path)
    layouts.ph2_spreadsheet(tmp_path, layouts.PH2_MARKS | {"IMD003": 7})
    with pytest.raises(InputError, match=r"line 6: IMD003: 0 marked"):
        ISIC.rows(tmp_path)


def test_what_is_no_spreadsheet_is_named(tmp_path):
    layouts.ph2_images(tmp_path)
    path = layouts.ph2_spreadsheet(tmp_path)
    path.write_text("not a spreadsheet")
    with pytest.raises(InputError, match=r"PH2_dataset\.xlsx: not a spreadsheet"):
        ISIC.rows(tmp_path)
