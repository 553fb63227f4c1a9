"""Brain MRI and one's own images in class folders, with and without groups."""

from collections import Counter

import layouts
import pytest

from meddiff.errors import InputError
from meddiff.manifest.consistency import check_rows
from meddiff.sources.brain_tumor import BRAIN_TUMOR
from meddiff.sources.folders.image_folder import IMAGE_FOLDER


def test_brain_tumor_classes_without_the_official_split_that_leaks(tmp_path):
    layouts.brain_tumor(tmp_path / "archive")
    rows = BRAIN_TUMOR.rows(tmp_path)
    assert Counter(row.label for row in rows) == {"glioma": 4, "meningioma": 4, "notumor": 4, "pituitary": 4}
    assert {row.split for row in rows} == {None}
    assert {(row.dataset, row.modality) for row in rows} == {("brain_tumor", "MR")}


def test_messy_names_of_folders_and_files(tmp_path):
    layouts.touch(tmp_path / "Yes", ["Y1.JPG", "Y 2.jpeg", "Y3.png", "notes.txt"])
    layouts.touch(tmp_path / "no", ["1 no.jpg"])
    layouts.touch(tmp_path / "Glioma-Tumor", ["g.jpg"])
    layouts.touch(tmp_path / "No Tumor", ["n.jpg"])
    layouts.touch(tmp_path / "screenshots", ["s.png"])
    rows = BRAIN_TUMOR.rows(tmp_path)
    assert Counter(row.label for row in rows) == {"yes": 3, "no": 1, "glioma": 1, "notumor": 1}


def test_groups_become_patients(tmp_path):
    layouts.touch(tmp_path / "set" / "yes", ["a.jpg", "b.jpg"])
    layouts.touch(tmp_path / "set" / "no", ["c.jpg"])
    layouts.table(tmp_path / "set" / "groups.csv", "path,group", "yes/a.jpg,7", "no\\c.jpg,7", start=b"\xef\xbb\xbf",
                  end="\r\n")  # fmt: skip
    groups = {row.image_path: row.group for row in BRAIN_TUMOR.rows(tmp_path)}
    assert groups == {"set/yes/a.jpg": "group-7", "set/no/c.jpg": "group-7", "set/yes/b.jpg": "set__yes__b.jpg"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["file,group", "yes/a.jpg,1"], "missing column 'path'. It has file, group"),
        (["path,group", "yes/a.jpg,1", "yes/a.jpg,2"], "duplicate path: line 3"),
        (["path,group", "yes/z.jpg,1"], "no image of a class there: line 2: yes/z.jpg"),
        (["path,group", "../yes/a.jpg,1"], "no image of a class there: line 2"),
        (["path,group", "yes/a.jpg,"], "empty group: line 2"),
    ],
)
def test_bad_groups_are_named(tmp_path, lines, said):
    layouts.touch(tmp_path / "yes", ["a.jpg"])
    layouts.table(tmp_path / "groups.csv", *lines)
    with pytest.raises(InputError, match=rf"groups\.csv: .*{said}"):
        BRAIN_TUMOR.rows(tmp_path)


def test_without_groups_copies_of_the_same_bytes_stay_together(tmp_path, caplog):
    layouts.brain_tumor(tmp_path)
    copy = (tmp_path / "Training" / "glioma" / "Training-glioma-0.jpg").read_bytes()
    for path in ("Testing/glioma/x.jpg", "Testing/notumor/y.jpg"):
        (tmp_path / path).write_bytes(copy)
    rows = BRAIN_TUMOR.rows(tmp_path)
    groups = Counter(row.patient_id for row in rows)
    assert sorted(groups.values()) == [3, 15]
    assert "3 images have a copy with the same bytes" in caplog.text
    assert "1 of them stand in several classes" in caplog.text
    assert "groups.csv" in caplog.text


def test_unknown_classes_point_to_the_image_folder(tmp_path):
    layouts.image_folder(tmp_path)
    with pytest.raises(InputError, match="--dataset image_folder"):
        BRAIN_TUMOR.rows(tmp_path)


def test_image_folder_takes_any_class_name(tmp_path):
    layouts.image_folder(tmp_path)
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert [(row.row_id, row.label) for row in rows] == [
        ("Chest X-ray__a.png", "Chest X-ray"), ("Chest X-ray__b.JPG", "Chest X-ray"), ("Skull__a.png", "Skull"),
        ("Skull__c.tif", "Skull"),
    ]  # fmt: skip


def test_image_folder_keeps_a_split_of_at_least_two_parts(tmp_path):
    for part in ("train", "valid", "Test"):
        layouts.touch(tmp_path / "mine" / part / "cat" / "patient 1", [f"{part}.png"])
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert {row.image_path.split("/")[1]: row.split for row in rows} == {
        "train": "train",
        "valid": "val",
        "Test": "test",
    }
    assert {row.label for row in rows} == {"cat"}
    assert {row.split for row in IMAGE_FOLDER.rows(tmp_path / "mine" / "train")} == {None}


def test_image_folder_with_a_lone_train_folder_has_no_split(tmp_path):
    for label in ("cat", "dog"):
        layouts.touch(tmp_path / "train" / label, ["a.png"])
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert [(row.label, row.split) for row in rows] == [("cat", None), ("dog", None)]


def test_image_folder_that_leaks_is_an_error_that_names_the_group(tmp_path):
    for part in ("train", "test"):
        layouts.touch(tmp_path / part / "cat", ["same bytes.png"])
    with pytest.raises(InputError, match=r"patient_id.*copies-.*train.*one split"):
        IMAGE_FOLDER.rows(tmp_path)


def test_masks_beside_the_images_are_no_images(tmp_path):
    layouts.touch(
        tmp_path / "benign", ["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png", "lonely_mask.png"]
    )
    rows = {row.image_path: row.mask_path for row in IMAGE_FOLDER.rows(tmp_path)}
    pieces = "benign/benign (1)_mask.png=foreground;benign/benign (1)_mask_1.png=foreground"
    assert rows == {"benign/benign (1).png": pieces, "benign/lonely_mask.png": None}


@pytest.mark.parametrize(
    ("masks", "cells"),
    [
        (["a_mask.png", "b_segmentation.png"], ["a_mask.png", "b_segmentation.png"]),
        (["a_mask.png", "a_mask_1.png", "a_mask_2.png", "b_mask.png"],
         ["a_mask.png=foreground;a_mask_1.png=foreground;a_mask_2.png=foreground", "b_mask.png=foreground"]),
        (["a_mask_disc.png", "a_mask_cup.png", "b_mask_disc.png"],
         ["a_mask_cup.png=cup;a_mask_disc.png=disc", "b_mask_disc.png=disc"]),
        (["a_attribute_globules.png", "a_attribute_streaks.png", "b_Lesion_left eye.PNG"],
         ["a_attribute_globules.png=globules;a_attribute_streaks.png=streaks", "b_Lesion_left eye.PNG=left eye"]),
    ],
)  # fmt: skip
def test_several_masks_of_one_image(tmp_path, masks, cells):
    layouts.touch(tmp_path / "x", ["a.png", "b.png", *masks])
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert [row.image_path for row in rows] == ["x/a.png", "x/b.png"]
    written = [";".join(part.removeprefix("x/") for part in str(row.mask_path).split(";")) for row in rows]
    assert written == cells
    assert all(part.path.is_file() for row in rows for part in row.mask_parts)


def test_a_mask_of_all_classes_beside_one_of_one_class_is_asked_about(tmp_path):
    layouts.touch(tmp_path / "x", ["a.png", "a_mask.png", "a_mask_cup.png"])
    with pytest.raises(InputError, match=r"a_mask\.png and .*a_mask_cup\.png are masks of one image: is the first of"):
        IMAGE_FOLDER.rows(tmp_path)


FOLDERS_OF_MASKS = {
    "one each": (["images/a.png", "images/b.png", "masks/a.png", "masks/b.png"],
                 [("images/a.png", "masks/a.png"), ("images/b.png", "masks/b.png")]),
    "called as tools do": (["img/a.jpg", "img/b.jpg", "GT/a_mask.png", "GT/b_segmentation.png"],
                           [("img/a.jpg", "GT/a_mask.png"), ("img/b.jpg", "GT/b_segmentation.png")]),
    "of some images": (["images/a.png", "images/b.png", "labels/b.png"],
                       [("images/a.png", None), ("images/b.png", "labels/b.png")]),
    "beside loose images": (["a.png", "b.png", "masks/a.png", "masks/b.png"],
                            [("a.png", "masks/a.png"), ("b.png", "masks/b.png")]),
    "a file per class": (["images/a.png", "images/a_2.png", "masks/a_cup.png", "masks/a_disc.png", "masks/a_2_cup.png",
                          "masks/a_2_mask_disc.png"],
                         [("images/a.png", "masks/a_cup.png=cup;masks/a_disc.png=disc"),
                          ("images/a_2.png", "masks/a_2_cup.png=cup;masks/a_2_mask_disc.png=disc")]),
    "a folder per class": (["images/a.png", "masks/cup/a.png", "masks/disc/a_mask.png"],
                           [("images/a.png", "masks/cup/a.png=cup;masks/disc/a_mask.png=disc")]),
    "a folder per image": (["images/a.png", "masks/a/cup.png", "masks/a/disc.png"],
                           [("images/a.png", "masks/a/cup.png=cup;masks/a/disc.png=disc")]),
    "pieces": (["images/a.png", "masks/a_mask.png", "masks/a_mask_1.png"],
               [("images/a.png", "masks/a_mask.png=foreground;masks/a_mask_1.png=foreground")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOLDERS_OF_MASKS)
@pytest.mark.parametrize("top", ["", "archive/"])
def test_folders_of_masks_are_no_classes(tmp_path, kind, top):
    files, expected = FOLDERS_OF_MASKS[kind]
    layouts.touch(tmp_path, [f"{top}{file}" for file in files])
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert {row.label for row in rows} <= {None, "archive"}
    found = [(row.image_path.removeprefix(top), row.mask_path and row.mask_path.replace(top, "")) for row in rows]
    assert found == expected


@pytest.mark.parametrize(("images", "masks"), [
    ("train/images/{}", "train/masks/{}"), ("images/train/{}", "masks/train/{}"), ("train/{}", "train/masks/{}"),
])  # fmt: skip
def test_folders_of_masks_below_splits_and_classes(tmp_path, images, masks):
    names = ["cat/a.png", "dog/b.png"]
    for part in ("train", "test"):
        for form in (images, masks):
            layouts.touch(tmp_path, [form.replace("train", part).format(name) for name in names])
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert [(row.label, row.split) for row in rows] == [(c, s) for s in ("test", "train") for c in ("cat", "dog")]
    assert all(row.mask_path and row.mask_path.endswith(row.image_path.rpartition("/")[2]) for row in rows)


def test_a_mask_without_image_is_named_and_a_class_may_be_called_labels(tmp_path):
    layouts.touch(tmp_path / "one", ["images/a.png", "masks/a.png", "masks/z.png", "masks/a_2.png"])
    with pytest.raises(InputError, match=r"(?s)mask without image.*masks/a_2\.png") as caught:
        IMAGE_FOLDER.rows(tmp_path / "one")
    assert "masks/z.png" in str(caught.value)
    layouts.touch(tmp_path / "two", ["stains/1.png", "labels/2.png"])
    assert [row.label for row in IMAGE_FOLDER.rows(tmp_path / "two")] == ["labels", "stains"]


def test_images_of_one_stem_are_two_images(tmp_path):
    layouts.touch(tmp_path / "a", ["1.png", "1.jpg"])
    assert [row.row_id for row in IMAGE_FOLDER.rows(tmp_path)] == ["a__1.jpg", "a__1.png"]


def test_images_in_no_class_are_an_error(tmp_path):
    layouts.image_folder(tmp_path)
    layouts.touch(tmp_path, ["loose.png"])
    with pytest.raises(InputError, match=r"1 images lie in no class folder: loose\.png"):
        IMAGE_FOLDER.rows(tmp_path)


@pytest.mark.parametrize("parts", [("",), ("train", "test"), ("train", "val", "test")])
def test_images_without_any_class_folder_have_no_label(tmp_path, parts):
    for part in parts:
        layouts.touch(tmp_path / part, [f"{part}1.png", f"{part}2.png", f"{part}2_mask.png"])
    rows = IMAGE_FOLDER.rows(tmp_path)
    assert {row.label for row in rows} == {None}
    assert {row.image_path: row.split for row in rows} == {
        f"{part}/{part}{number}.png".lstrip("/"): part or None for part in parts for number in (1, 2)
    }
    assert sum(row.mask_path is not None for row in rows) == len(parts)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "by_label", "groups"),
    [
        ("brain-tumor-4class", {"pituitary": 563, "notumor": 526, "meningioma": 517, "glioma": 497}, 1823),
        ("brain-tumor-yes-no", {"no": 26, "yes": 24}, 44),
    ],
)
def test_real_sets(real_data, name, by_label, groups):
    rows = BRAIN_TUMOR.rows(real_data / name)
    check_rows(rows, name)
    assert Counter(row.label for row in rows) == by_label
    assert len({row.patient_id for row in rows}) == groups
    assert all(row.image_file.is_file() for row in rows)
