"""HAM10000 and the ISIC challenges, each as distributed, and several of them in one folder."""

import logging
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import layouts
import pytest

from meddiff.errors import InputError
from meddiff.manifest.consistency import check_rows
from meddiff.sources.isic import ISIC
from meddiff.sources.isic.labels import DIAGNOSES


def read(root: Path) -> dict:
    rows = ISIC.rows(root)
    check_rows(rows, root)
    return {row.row_id: row for row in rows}


def labels(rows: dict) -> dict:
    return {name: row.label for name, row in rows.items()}


def splits(rows: dict) -> dict:
    return {name: row.split for name, row in rows.items()}


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"name": "HAM10000_metadata"},
        {"name": "HAM10000_metadata.tab", "comma": "\t"},
        {"name": "metadata.csv"},
        {"start": b"\xef\xbb\xbf", "end": "\r\n"},
        {"comma": ";"},
    ],
)
def test_ham10000_as_distributed_and_as_spreadsheets_leave_it(tmp_path, variant):
    layouts.ham10000(tmp_path, **variant)
    rows = read(tmp_path)
    assert labels(rows) == {"ISIC_0024306": "nv", "ISIC_0024307": "mel", "ISIC_0029306": "nv"}
    row = rows["ISIC_0029306"]
    assert row.image_path == "HAM10000_images_part_2/ISIC_0029306.jpg"
    assert row.mask_path == "HAM10000_segmentations_lesion_tschandl/ISIC_0029306_segmentation.png"
    assert (row.dataset, row.lesion_id, row.license) == ("ham10000", "HAM_0000550", "CC-BY-NC-4.0")
    assert (row.age_years, row.sex, row.site, row.modality) == (45.0, "male", "trunk", "dermoscopy")
    unknown = rows["ISIC_0024307"]
    assert (unknown.age_years, unknown.sex, unknown.site, unknown.split) == (None, None, None, None)


def test_ham10000_with_its_image_folders_merged_without_masks_deep_below_the_root(tmp_path):
    layouts.ham10000(tmp_path / "a" / "b")
    merged = tmp_path / "a" / "b" / "images"
    (tmp_path / "a" / "b" / "HAM10000_images_part_1").rename(merged)
    for file in (tmp_path / "a" / "b" / "HAM10000_images_part_2").iterdir():
        file.rename(merged / file.name)
    for file in (tmp_path / "a" / "b" / "HAM10000_segmentations_lesion_tschandl").iterdir():
        file.unlink()
    rows = read(tmp_path)
    assert len(rows) == 3
    assert {row.mask_path for row in rows.values()} == {None}
    assert rows["ISIC_0024306"].image_path == "a/b/images/ISIC_0024306.jpg"
    assert {row.dataset for row in rows.values()} == {"ham10000"}


def test_what_macos_and_file_managers_leave_behind_is_no_image(tmp_path):
    layouts.ham10000(tmp_path)
    layouts.touch(tmp_path / "HAM10000_segmentations_lesion_tschandl", ["._ISIC_0025504_segmentation.png"])
    layouts.touch(tmp_path / "__MACOSX" / "HAM10000_images_part_1", ["ISIC_0024399.jpg"])
    layouts.touch(tmp_path / "HAM10000_images_part_1", ["Thumbs.db", ".DS_Store"])
    assert len(read(tmp_path)) == 3


def test_isic2016_official_parts_masks_and_the_table_without_header(tmp_path):
    layouts.isic2016(tmp_path)
    rows = read(tmp_path)
    assert labels(rows) == {"ISIC_0000000": "benign", "ISIC_0000001": "malignant", "ISIC_0000003": "malignant"}
    assert splits(rows) == {"ISIC_0000000": "train", "ISIC_0000001": "train", "ISIC_0000003": "test"}
    assert rows["ISIC_0000000"].mask_path.endswith("ISIC_0000000_Segmentation.png")
    assert {row.license for row in rows.values()} == {"CC0-1.0"}


def test_isic2016_part_3b_keeps_masks_beside_the_images(tmp_path):
    folder = tmp_path / "ISBI2016_ISIC_Part3B_Training_Data"
    layouts.touch(folder, ["ISIC_0000000.jpg", "ISIC_0000000_Segmentation.png"])
    layouts.table(tmp_path / "ISBI2016_ISIC_Part3B_Training_GroundTruth.csv", "ISIC_0000000,benign")
    row = read(tmp_path)["ISIC_0000000"]
    assert row.image_path.endswith("ISIC_0000000.jpg")
    assert row.mask_path.endswith("ISIC_0000000_Segmentation.png")


def test_isic2017(tmp_path):
    layouts.isic2017(tmp_path)
    rows = read(tmp_path)
    assert labels(rows) == {"ISIC_0000000": "nv", "ISIC_0000001": "mel", "ISIC_0001769": "bkl", "ISIC_0012086": "nv",
                            "ISIC_0012092": "mel"}  # fmt: skip
    assert Counter(splits(rows).values()) == {"train": 2, "val": 1, "test": 2}
    assert (rows["ISIC_0000000"].age_years, rows["ISIC_0000000"].sex) == (55.0, "female")
    assert (rows["ISIC_0000001"].age_years, rows["ISIC_0000001"].sex) == (None, None)
    assert all(row.mask_path and not row.image_path.endswith(".png") for row in rows.values())


def test_isic2018_task1_has_masks_and_no_labels(tmp_path):
    layouts.isic2018_task1(tmp_path)
    rows = read(tmp_path)
    assert set(labels(rows).values()) == {None}
    assert splits(rows) == {"ISIC_0000000": "train", "ISIC_0000001": "train", "ISIC_0012255": "val"}
    assert all(row.mask_path.endswith("_segmentation.png") for row in rows.values())


def test_attributes_of_isic2018_task2_are_a_class_each(tmp_path):
    layouts.isic2018_task1(tmp_path)
    for folder in tmp_path.glob("ISIC2018_Task1_*_GroundTruth"):
        shutil.rmtree(folder)
    truth = "ISIC2018_Task2_Training_GroundTruth_v3"
    layouts.touch(tmp_path / truth, ["ISIC_0000000_attribute_streaks.png"])
    rows = read(tmp_path)
    named = [f"{truth}/ISIC_0000000_attribute_{name}.png={name}" for name in ("globules", "streaks")]
    assert rows["ISIC_0000000"].mask_path == ";".join(named)
    assert rows["ISIC_0000001"].mask_path == f"{truth}/ISIC_0000001_attribute_globules.png=globules"


@pytest.mark.parametrize("left", [("Training",), ("Validation",), ("Training", "Validation")])
def test_masks_of_lesions_and_of_attributes_are_not_one_data_set(tmp_path, caplog, left):
    """Wherever a mask of a lesion lies, masks are of lesions, and those of attributes are left out and counted."""
    layouts.isic2018_task1(tmp_path)
    for folder in tmp_path.glob("ISIC2018_Task1_*_GroundTruth"):
        if not any(part in folder.name for part in left):
            shutil.rmtree(folder)
    masks = [row.mask_path for row in read(tmp_path).values()]
    assert any(masks)
    assert all(mask is None or mask.endswith("_segmentation.png") for mask in masks)
    assert "masks of attributes (ISIC 2018, task 2) are left out" in caplog.text


def test_one_official_part_alone_is_no_split(tmp_path):
    layouts.isic2018_task1(tmp_path, parts=("Training",))
    assert set(splits(read(tmp_path)).values()) == {None}


@pytest.mark.parametrize("all_parts", [False, True])
def test_isic2018_task3_and_its_lesion_groupings(tmp_path, all_parts):
    layouts.isic2018_task3(tmp_path, all_parts=all_parts)
    rows = read(tmp_path)
    assert labels(rows).items() >= {"ISIC_0024306": "nv", "ISIC_0024307": "akiec", "ISIC_0024308": "vasc"}.items()
    assert rows["ISIC_0024308"].group == rows["ISIC_0024307"].group == "HAM_0003577"
    counts = {"train": 3, "val": 1, "test": 1} if all_parts else {None: 3}
    assert Counter(splits(rows).values()) == counts
    assert {row.license for row in rows.values()} == {"CC-BY-NC-4.0"}


def test_ham10000_is_the_training_part_of_isic2018_task3(tmp_path):
    layouts.ham10000(tmp_path)
    layouts.touch(tmp_path / "ISIC2018_Task3_Test_Images", ["ISIC_0034524.jpg"])
    layouts.table(tmp_path / "ISIC2018_Task3_Test_GroundTruth.tab",  # on Dataverse in the form of HAM10000_metadata
                  "lesion_id\timage_id\tdx\tdx_type\tage\tsex\tlocalization\tdataset",
                  "HAMTEST_0000000\tISIC_0034524\tnv\tfollow_up\t40.0\tfemale\tback\tvidir_molemax")  # fmt: skip
    assert Counter(splits(read(tmp_path)).values()) == {"train": 3, "test": 1}


def test_isic2019(tmp_path):
    layouts.isic2019(tmp_path)
    rows = read(tmp_path)
    assert labels(rows) == {"ISIC_0000000": "nv", "ISIC_0024306": "nv", "ISIC_0053454": "akiec", "ISIC_0053455": "scc"}
    assert rows["ISIC_0000000"].image_path.endswith("ISIC_0000000_downsampled.jpg")
    assert rows["ISIC_0053454"].group == rows["ISIC_0053455"].group == "BCN_0000001"
    assert (rows["ISIC_0053454"].age_years, rows["ISIC_0053454"].site) == (85.0, "head/neck")
    assert set(splits(rows).values()) == {None}


def test_isic2019_test_has_pictures_of_no_known_diagnosis(tmp_path):
    layouts.isic2019(tmp_path)
    layouts.touch(tmp_path / "ISIC_2019_Test_Input", ["ISIC_0034321.jpg", "ISIC_0034322.jpg"])
    layouts.table(tmp_path / "ISIC_2019_Test_GroundTruth.csv", "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK,score_weight",
                  "ISIC_0034321,0,0,0,0,1,0,0,0,0,1.0", "ISIC_0034322,0,0,0,0,0,0,0,0,1,0.0")  # fmt: skip
    rows = read(tmp_path)
    assert labels(rows).items() >= {"ISIC_0034321": "bkl", "ISIC_0034322": None}.items()
    assert Counter(splits(rows).values()) == {"train": 4, "test": 2}


def test_isic2020_has_patients(tmp_path):
    layouts.isic2020(tmp_path)
    rows = read(tmp_path)
    assert labels(rows) == {"ISIC_0015719": "malignant", "ISIC_2637011": "benign"}
    assert rows["ISIC_2637011"].group == "IP_7279968"


def test_every_label_is_in_the_vocabulary(tmp_path):
    for layout in (layouts.ham10000, layouts.isic2017, layouts.isic2018_task3, layouts.isic2019, layouts.ph2):
        layout(tmp_path / layout.__name__)
    assert set(labels(read(tmp_path)).values()) <= set(DIAGNOSES)


def test_a_picture_of_four_challenges_is_one_row(tmp_path):
    for layout in (layouts.isic2016, layouts.isic2017, layouts.isic2018_task1, layouts.isic2019):
        layout(tmp_path / layout.__name__)
    row = read(tmp_path)["ISIC_0000000"]
    assert (row.label, row.dataset) == ("nv", "isic2017")  # the diagnosis, not benign; its mask lies beside the image
    assert "isic2017" in row.image_path
    assert "isic2017" in row.mask_path
    assert row.site == "anterior torso"  # only ISIC 2019 knows


def test_a_reduced_copy_gets_no_mask_of_another_size(tmp_path):
    layouts.isic2019(tmp_path)
    layouts.touch(tmp_path / "ISIC-2017_Training_Part1_GroundTruth", ["ISIC_0000000_segmentation.png"])
    assert read(tmp_path)["ISIC_0000000"].mask_path is None


def test_ham10000_and_isic2018_task3_in_one_root_are_the_same_pictures(tmp_path, caplog):
    layouts.ham10000(tmp_path)
    layouts.isic2018_task3(tmp_path)
    rows = read(tmp_path)
    assert len(rows) == 4
    assert rows["ISIC_0024306"].image_path.startswith("HAM10000")
    assert rows["ISIC_0024307"].label == "mel"  # the layouts disagree on purpose
    assert "1 images have different diagnoses" in caplog.text


def test_a_lesion_that_official_parts_cut_moves_to_train(tmp_path, caplog):
    layouts.isic2017(tmp_path)
    layouts.table(tmp_path / "ISIC_2019_Training_Metadata.csv", "image,age_approx,anatom_site_general,lesion_id,sex",
                  "ISIC_0000000,,,MSK4_01,", "ISIC_0001769,,,MSK4_01,", "ISIC_0012086,,,MSK4_02,")  # fmt: skip
    assert splits(read(tmp_path)) == {"ISIC_0000000": "train", "ISIC_0000001": "train", "ISIC_0001769": "train",
                                      "ISIC_0012086": "test", "ISIC_0012092": "test"}  # fmt: skip
    assert "1 images were moved" in caplog.text


def test_the_two_ids_of_one_picture_are_not_in_two_splits(tmp_path):
    for part, name in (("Training", "ISIC_0012970"), ("Validation", "ISIC_0012127"), ("Validation", "ISIC_0001769")):
        layouts.touch(tmp_path / f"ISIC-2017_{part}_Data", [f"{name}.jpg"])
        layouts.touch(tmp_path / f"ISIC-2017_{part}_Part1_GroundTruth", [f"{name}_segmentation.png"])
    rows = read(tmp_path)
    assert splits(rows) == {"ISIC_0012970": "train", "ISIC_0012127": "train", "ISIC_0001769": "val"}
    assert rows["ISIC_0012970"].group == rows["ISIC_0012127"].group


def test_classes_that_overlap_are_named(tmp_path, caplog):
    layouts.isic2016(tmp_path / "2016")
    layouts.ham10000(tmp_path / "ham")
    read(tmp_path)
    assert "benign/malignant" in caplog.text


def test_images_without_a_diagnosis_are_kept_and_counted(tmp_path, caplog):
    layouts.ham10000(tmp_path)
    layouts.touch(tmp_path / "HAM10000_images_part_1", ["ISIC_0024999.jpg"])
    layouts.touch(tmp_path / "HAM10000_segmentations_lesion_tschandl", ["ISIC_0024998_segmentation.png"])
    rows = read(tmp_path)
    assert rows["ISIC_0024999"].label is None
    assert "1 images have no diagnosis" in caplog.text
    assert "1 lesion masks belong to no image" in caplog.text


def test_a_part_that_was_never_downloaded_is_passed_over(tmp_path, caplog):
    layouts.isic2018_task3(tmp_path)
    layouts.table(tmp_path / "ISIC2018_Task3_Test_GroundTruth" / "ISIC2018_Task3_Test_GroundTruth.csv",
                  "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", "ISIC_0034524,1,0,0,0,0,0,0")  # fmt: skip
    assert len(read(tmp_path)) == 3
    assert "none of its 1 images" in caplog.text


def test_a_half_unpacked_set_is_an_error_that_counts(tmp_path):
    layouts.ham10000(tmp_path)
    (tmp_path / "HAM10000_images_part_2" / "ISIC_0029306.jpg").unlink()
    with pytest.raises(InputError, match=r"HAM10000_metadata\.csv: 1 of its 3 images .*ISIC_0029306.*has two"):
        ISIC.rows(tmp_path)


BAD_LINES = [
    ("HAM_1,ISIC_0024306,nv,histo,30,male,back", "line 5: ISIC_0024306 stands on line 3"),
    ("HAM_1,ISIC_24306,nv,histo,30,male,back", "line 5: 'ISIC_24306'"),
    ("HAM_1,ISIC_0024309,wart,histo,30,male,back", "line 5: ISIC_0024309: 'wart' is no diagnosis; known are nv"),
    ("HAM_1,ISIC_0024309,nv,histo,young,male,back", "line 5: ISIC_0024309: .*young"),
    ("HAM_1,ISIC_0024309,nv,histo,999,male,back", "line 5: ISIC_0024309: age 999"),
    ("HAM_1,ISIC_0024309,nv,histo,30,male", "line 5 has 6, the table has 7 columns"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES)
def test_a_bad_line_is_named(tmp_path, line, said):
    layouts.ham10000(tmp_path)
    layouts.touch(tmp_path / "HAM10000_images_part_1", ["ISIC_0024309.jpg"])
    with (tmp_path / "HAM10000_metadata.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=rf"(?s)HAM10000_metadata\.csv: .*{said}"):
        ISIC.rows(tmp_path)


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("HAM10000_metadata.csv", ["lesion_id,image_id,diagnosis", "HAM_1,ISIC_0024306,nv"], "missing column 'dx'"),
        ("HAM10000_metadata.csv", ["image_id,dx", "ISIC_0024306,nv"], "column 'lesion_id'.*has image_id, dx"),
        ("ISIC_2019_Training_GroundTruth.csv", ["image,MEL,NV", "ISIC_0024306,0,1"], "missing column 'bcc'"),
        ("ISIC-2017_Training_Part3_GroundTruth.csv", ["image_id,melanoma", "ISIC_0024306,0"], "seborrheic_keratosis"),
        ("ISIC-2017_Training_Part3_GroundTruth.csv",
         ["image_id,melanoma,seborrheic_keratosis", "ISIC_0024306,1.0,1.0"], "line 2.*both melanoma"),
        ("ISBI2016_ISIC_Part3_Training_GroundTruth.csv", ["ISIC_0024306,perhaps"], "line 1.*'perhaps' is neither"),
        ("x.csv", ["image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", "ISIC_0024306,0,0,0,0,0,0,0"], "line 2.*no column marked"),
        ("x.csv", ["image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", "ISIC_0024306,1,1,0,0,0,0,0"], "line 2.*nv, mel marked"),
        ("x.csv", ["image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", "ISIC_0024306,.7,.3,0,0,0,0,0"], "line 2.*neither 0 nor 1"),
        ("HAM10000_metadata.csv", [], "the table is empty"),
    ],
)  # fmt: skip
def test_a_bad_table_is_named(tmp_path, name, lines, said):
    layouts.touch(tmp_path / "images", ["ISIC_0024306.jpg"])
    layouts.table(tmp_path / name, *lines)
    with pytest.raises(InputError, match=rf"(?s){name}: .*{said}"):
        ISIC.rows(tmp_path)


def test_a_table_in_another_encoding_is_named(tmp_path):
    layouts.ham10000(tmp_path)
    path = tmp_path / "HAM10000_metadata.csv"
    path.write_bytes(path.read_text().replace("trunk", "r\u00fcck").encode("latin-1"))
    with pytest.raises(InputError, match=r"HAM10000_metadata\.csv: byte \d+ is not UTF-8"):
        ISIC.rows(tmp_path)


def test_foreign_tables_and_images_are_left_alone(tmp_path):
    layouts.ham10000(tmp_path)
    layouts.table(tmp_path / "notes.csv", "image_id,dx", "my_photo,nv")
    layouts.table(tmp_path / "prices.csv", "a,b", "1", "2,3,4")
    (tmp_path / "binary.csv").write_bytes(b"\0\1\2\xff")
    layouts.touch(tmp_path / "holiday", ["beach.jpg", "ISIC.jpg", "ISIC_0000000_attribute_globules.png"])
    assert len(read(tmp_path)) == 3


def test_images_alone_and_archives_alone_say_what_to_do(tmp_path):
    layouts.ham10000(tmp_path)
    with pytest.raises(InputError, match=r"found 2 dermoscopy images but neither .* name the folder above"):
        ISIC.rows(tmp_path / "HAM10000_images_part_1")
    layouts.touch(tmp_path / "packed", ["HAM10000_images_part_1.zip"])
    with pytest.raises(InputError, match=r"HAM10000_images_part_1\.zip.*unpack them first"):
        ISIC.rows(tmp_path / "packed")
    with pytest.raises(InputError, match=r"meddiff\.pipelines\.download"):
        ISIC.rows(tmp_path / "HAM10000_segmentations_lesion_tschandl")


def test_linked_folders_are_followed_once(tmp_path):
    layouts.ham10000(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ham").symlink_to(tmp_path / "disk", target_is_directory=True)
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "disk", target_is_directory=True)
    rows = read(tmp_path / "data")
    assert rows["ISIC_0024306"].image_path == "ham/HAM10000_images_part_1/ISIC_0024306.jpg"
    assert len(rows) == 3


def test_a_relative_root_reads_like_an_absolute_one(tmp_path, monkeypatch):
    layouts.ham10000(tmp_path / "ham")
    monkeypatch.chdir(tmp_path)
    assert [row.image_path for row in ISIC.rows(Path("ham"))] == [row.image_path for row in ISIC.rows(tmp_path / "ham")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    layouts.ham10000(tmp_path)
    locked = tmp_path / "HAM10000_images_part_1"
    locked.chmod(0)
    try:
        with pytest.raises(InputError, match="part_1 cannot be read"):
            ISIC.rows(tmp_path)
    finally:
        locked.chmod(0o755)


REAL = {
    "HAM10000": (8013, {"nv": 5355, "bkl": 909, "mel": 883, "bcc": 403, "akiec": 258, "vasc": 112, "df": 93},
                 {None: 8013}, 8013, 5984),
    "ISIC-2017": (1671, {"nv": 1107, "mel": 318, "bkl": 246}, {"train": 1545, "val": 126}, 1671, 1671),
    "PH2": (158, {"nv": 66, "atypical_nv": 60, "mel": 32}, {None: 158}, 158, 158),
    "broken-images": (2, {None: 2}, {None: 2}, 1, 2),
}  # fmt: skip


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_sets(real_data, name):
    count, by_label, by_split, masks, groups = REAL[name]
    rows = ISIC.rows(real_data / name)
    check_rows(rows, name)
    assert len(rows) == count
    assert Counter(row.label for row in rows) == by_label
    assert Counter(row.split for row in rows) == by_split
    assert sum(row.mask_path is not None for row in rows) == masks
    assert len({row.group for row in rows}) == groups
    assert all(row.image_file.is_file() and (row.mask_file is None or row.mask_file.is_file()) for row in rows)


@pytest.mark.real_data
def test_real_sets_in_one_root_in_seconds(real_data, caplog):
    caplog.set_level(logging.ERROR)
    start = time.process_time()
    rows = ISIC.rows(real_data)
    assert time.process_time() - start < 4  # under 1 s on an idle machine
    check_rows(rows, real_data)
    assert Counter(row.dataset for row in rows) == {"ham10000": 8013, "isic2017": 1671, "ph2": 158, "isic2018-task1": 2}
