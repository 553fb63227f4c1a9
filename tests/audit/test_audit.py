"""The audit finds each planted fault, and nothing in phantoms that have none."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scipy import ndimage

from meddiff.audit import Finding, audit, duplicates, shift
from meddiff.audit.leaks import leaks, split_of
from meddiff.audit.listing import folder_rows
from meddiff.audit.masks import mask_facts
from meddiff.jobs.audit import tell, to_table
from meddiff.manifest.row import ManifestRow
from meddiff.pipelines.inspect import main
from meddiff.sources import phantom

REAL = Path(__file__).parents[3] / "shared" / "data"
COUNT, SIDE = 40, 96


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Phantoms as they are: one lesion each, split by patient."""
    rows = phantom.rows("dermoscopy", seed=0, count=COUNT)
    rows = [replace(row, split="test" if row.patient_id == rows[0].patient_id else "train") for row in rows]
    return phantom.write(rows, tmp_path_factory.mktemp("clean"), size=SIDE)


def serious(found: list[Finding]) -> dict[str, set[str]]:
    """Kind -> files of what is serious."""
    kinds: dict[str, set[str]] = {}
    for one in found:
        if one.severity == "serious":
            kinds.setdefault(one.kind, set()).update(one.files)
    return kinds


def changed(row: ManifestRow, folder: Path, *, image=None, mask=None) -> ManifestRow:
    """The row with other pixels or another mask, in another folder."""
    for old, new in ((row.image_file, image), (row.mask_file, mask)):
        to = folder / old.relative_to(row.root)
        to.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(old)) if new is None else new).save(to)
    return replace(row, root=folder)


def test_clean_phantoms_have_no_fault(drawn):
    assert not audit(drawn)


def test_each_planted_fault_of_a_mask_is_named(drawn, tmp_path):
    masks = [np.asarray(Image.open(row.mask_file)) for row in drawn[:4]]
    rows = [
        changed(drawn[0], tmp_path, mask=255 - masks[0]),
        changed(drawn[1], tmp_path, mask=np.zeros_like(masks[1])),
        changed(drawn[2], tmp_path, mask=np.full_like(masks[2], 255)),
        changed(drawn[3], tmp_path, mask=masks[3][:-8]),
    ]
    found = audit([*rows, *drawn[4:]])
    kinds = serious(found)
    assert kinds == {
        "mask inverted": {rows[0].mask_path},
        "mask empty": {rows[1].mask_path},
        "mask of another size": {rows[3].mask_path},
    }
    assert [one.files for one in found if one.kind == "mask full"] == [(rows[2].mask_path,)]


def test_each_planted_fault_of_an_image_is_named(drawn, tmp_path):
    images = [np.asarray(Image.open(row.image_file)) for row in drawn[:4]]
    rows = [
        changed(drawn[0], tmp_path, image=np.full_like(images[0], 90)),
        changed(drawn[1], tmp_path, image=np.asarray(Image.fromarray(images[1]).convert("L"))),
        changed(drawn[2], tmp_path, image=images[2] // 8),
        changed(drawn[3], tmp_path),
    ]
    rows[3].image_file.write_bytes(rows[3].image_file.read_bytes()[:600])
    found = audit([*rows, *drawn[4:]])
    assert serious(found) == {"constant image": {rows[0].image_path}, "unreadable": {rows[3].image_path}}
    kinds = {one.kind: one.files for one in found if one.severity == "warning"}
    assert kinds["color mode"] == (rows[1].image_path,)
    assert kinds["intensity outlier"] == (rows[2].image_path,)


def test_a_changed_copy_in_another_split_or_of_another_label_is_named(drawn, tmp_path):
    """Smaller, recompressed and brighter."""
    row = next(row for row in drawn if row.split == "train")
    small = Image.open(row.image_file).convert("RGB").resize((64, 64))
    bright = np.clip(np.asarray(small) * 1.06, 0, 255).astype(np.uint8)
    Image.fromarray(bright).save(tmp_path / "copy.jpg", quality=80)
    copy = replace(row, row_id="copy", root=tmp_path, image_path="copy.jpg", mask_path=None, patient_id="someone",
                   lesion_id=None, split="test", label="other")  # fmt: skip
    kinds = serious(audit([*drawn, copy]))
    both = {row.image_path, "copy.jpg"}
    assert kinds == {"copies across splits": both, "copies with different labels": both}
    assert not serious(audit([*drawn, replace(copy, split="train", label=row.label)]))


def test_a_patient_in_two_splits_and_a_repeated_id_are_named(drawn):
    one, other = (
        replace(row, patient_id="p", split=split) for row, split in zip(drawn, ("train", "test"), strict=False)
    )
    rows = [one, replace(other, row_id=one.row_id, lesion_id="l")]
    found = leaks(rows, [split_of(row) for row in rows])
    assert Counter(one.kind for one in found) == {"group across splits": 1, "row_id repeated": 1}
    folders = ["Training/a/1.png", "val/a/1.png", "x/1.png"]
    assert [split_of(replace(one, split=None, image_path=path)) for path in folders] == ["train", "val", None]


def test_a_moved_mask_is_named_and_so_is_a_set_that_moved(drawn, tmp_path):
    def moved(row, *by):
        mask = np.asarray(Image.open(row.mask_file))
        return changed(row, tmp_path / str(by), mask=ndimage.shift(mask, by, order=0))

    row = drawn[5]
    names = [one.files for one in audit([*drawn[:5], moved(row, 11, -7), *drawn[6:]]) if one.kind == "mask shifted"]
    assert names == [(row.mask_path,)]
    found = audit([moved(row, 0, 7) for row in drawn[:24]])
    (one,) = [one for one in found if one.kind == "masks shifted"]
    assert one.severity == "serious"
    assert "moved left by 7% of the width they" in one.sentence


def test_the_shift_of_a_disc_is_measured_to_the_pixel():
    rows, columns = np.mgrid[: shift.GRID, : shift.GRID]
    disc = np.hypot(rows - 50, columns - 40) < 14
    found = shift.offset(np.where(np.roll(disc, (6, -4), (0, 1)), 40.0, 200.0), disc)
    assert (found.rows * shift.GRID, found.columns * shift.GRID) == (6, -4)
    assert found.best > 0.95
    assert shift.offset(np.zeros((96, 96)), np.zeros((96, 96), bool)) is None


def test_a_border_that_leaves_the_picture_agrees_with_nothing():
    """A mask of all but one corner: moved by a tenth, hardly a pixel of its border is still in the picture."""
    rows, columns = np.mgrid[: shift.GRID, : shift.GRID]
    noise = np.random.default_rng(0).normal(size=(96, 96))
    found = shift.offset(ndimage.gaussian_filter(noise, 2), rows + 96 - columns > 16)
    assert found.best <= 1


def test_large_lesions_and_corners_are_not_inverted():
    rows, columns = np.mgrid[:60, :80]
    whole = np.hypot(rows - 30, columns - 40) < 42
    assert not mask_facts(whole).inverted
    assert mask_facts(~(np.hypot(rows - 20, columns - 30) < 12)).inverted
    assert mask_facts(~(np.hypot(rows - 30, columns - 60) < 24)).inverted, "touches the frame on one side"


def test_unrelated_noise_is_no_copy_and_clusters_hang_together():
    generator = np.random.default_rng(0)
    pictures = generator.random((30, 8, 8)).repeat(8, axis=1).repeat(8, axis=2) * 255
    pictures[7] = pictures[3] + generator.normal(0, 3, (64, 64))
    pictures[20] = pictures[3] * 0.5 + 10
    hashes = np.stack([duplicates.perceptual_hash(picture) for picture in pictures])
    pairs = duplicates.near_pairs(hashes, np.stack([duplicates.thumbnail(picture) for picture in pictures]))
    assert duplicates.clusters(30, pairs) == [[3, 7, 20]]


def test_plain_folders_are_paired_by_name(tmp_path):
    for name in ("images/a.png", "images/b.png", "images/c_0000.png", "masks/a_mask.png", "masks/lost_mask.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    rows, found = folder_rows(tmp_path)
    assert [(row.image_path, row.mask_path) for row in rows] == [
        ("images/a.png", "masks/a_mask.png"), ("images/b.png", None), ("images/c_0000.png", None)
    ]  # fmt: skip
    assert {one.kind: one.files for one in found} == {
        "mask without image": ("masks/lost_mask.png",), "image without mask": ("images/b.png", "images/c_0000.png")
    }  # fmt: skip


PLAIN_FOLDERS = {
    "by name": (["images/a.png", "masks/a_cup.png", "masks/a_disc.png"],
                "masks/a_cup.png=cup;masks/a_disc.png=disc"),
    "folder per image": (["images/a.png", "masks/a/cup.png", "masks/a/disc.png"],
                         "masks/a/cup.png=cup;masks/a/disc.png=disc"),
    "folder per class": (["images/a.png", "masks/cup/a.png", "masks/disc/a.png"],
                         "masks/cup/a.png=cup;masks/disc/a.png=disc"),
    "pieces": (["a.png", "a_mask.png", "a_mask_1.png"], "a_mask.png=foreground;a_mask_1.png=foreground"),
    "below parts": (["images/train/a.png", "masks/train/a.png"], "masks/train/a.png"),
    "of the same part": (["train/images/a.png", "train/masks/a.png", "test/images/a.png", "test/masks/a.png"],
                         "train/masks/a.png"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLAIN_FOLDERS)
def test_masks_of_plain_folders_may_be_a_file_per_class(tmp_path, kind):
    files, cell = PLAIN_FOLDERS[kind]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    rows, listed = folder_rows(tmp_path)
    assert rows[-1].mask_path == cell
    assert listed == []


def test_the_command_writes_all_findings_and_ends_with_one(drawn, tmp_path, capsys):
    header = "row_id,dataset,image_path,mask_path,patient_id,split,source\n"
    lines = [f"{n},x,{row.image_path},{row.mask_path},{'p' if n < 2 else n},{'test' if n else 'train'},real\n"
             for n, row in enumerate(drawn[:3])]  # fmt: skip
    table = drawn[0].root / "rows.csv"
    table.write_text(header + "".join(lines), encoding="utf-8")
    out = tmp_path / "findings.csv"
    assert main(["--audit", str(table), "--out", str(out)]) == 1
    assert "findings: 1 serious" in capsys.readouterr().out
    told = out.read_text(encoding="utf-8")
    assert told.count("group across splits") == 2
    table.write_text(header + lines[0], encoding="utf-8")
    assert main(["--audit", str(table)]) == 0
    assert main(["--audit", str(tmp_path / "nowhere")]) == 2
    elsewhere = tmp_path / "rows.csv"
    table.rename(elsewhere)
    assert main(["--audit", str(elsewhere)]) == 2, "one sentence, not a finding for each file"
    assert "--data-root" in capsys.readouterr().err
    assert main(["--audit", str(elsewhere), "--data-root", str(drawn[0].root)]) == 0


@pytest.mark.parametrize(("shared", "absent", "rule"), [
    (True, False, "--mask_overlap=later"), (True, False, "--mask-overlap=ignore"),
    (False, True, "--mask_missing=empty"),
])  # fmt: skip
def test_what_names_of_masks_leave_open_is_asked_for_and_answered(tmp_path, capsys, shared, absent, rule):
    """A file per class: two classes on one pixel, or a class that one of the images lacks."""
    cup, disc = np.zeros((2, 32, 32), np.uint8)
    cup[10:14, 10:14] = disc[10 if shared else 14 : 22, 10:22] = 255
    lines = []
    for number in range(3):
        noise = np.random.default_rng(number).integers(60, 200, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
        for name, mask in (("cup", cup), ("disc", disc)):
            Image.fromarray(mask).save(tmp_path / f"{number}_{name}.png")
        names = ["cup"] if absent and not number else ["cup", "disc"]
        cell = ";".join(f"{number}_{name}.png={name}" for name in names)
        lines.append(f"{number},x,{number}.png,{cell},real\n")
    table = tmp_path / "rows.csv"
    table.write_text("row_id,dataset,image_path,mask_path,source\n" + "".join(lines), encoding="utf-8")
    assert main(["--audit", str(table)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "mask values unclear" in said
    assert rule.partition("=")[0].replace("-", "_").strip("_") in said
    main(["--audit", str(table), rule])
    assert "mask values unclear" not in capsys.readouterr().out
    assert main([str(tmp_path), rule]) == 2
    assert "belong to --audit" in capsys.readouterr().err


def test_a_sentence_is_printed_once_for_all_its_files():
    console = Console(record=True, width=200, file=io.StringIO())
    tell(console, [Finding("mask empty", (f"{n}.png",), "it is empty", "serious") for n in range(9)], "findings.csv")
    told = console.export_text()
    assert told.count("it is empty") == 1
    assert [name for name in ("0.png", "3.png", "and 5 more") if name not in told] == []
    table = to_table([Finding("masks empty", ("a", "b"), "they are empty", "note"), Finding("x", (), "y", "note")])
    assert table["sentence"].tolist() == ["they are empty", "", "y"]


@pytest.mark.real_data
@pytest.mark.skipif(not (REAL / "broken-images").is_dir(), reason="needs the real images in ../shared/data")
def test_the_five_inverted_masks_of_ham10000_are_found():
    folder = REAL / "broken-images" / "HAM10000_inverted_masks"
    files = sorted(folder.glob("*.png"))
    good = REAL / "HAM10000" / "HAM10000_segmentations_lesion_tschandl"
    assert len(files) == 5
    for file in files:
        assert mask_facts(np.asarray(Image.open(file))).inverted
        assert not mask_facts(np.asarray(Image.open(good / file.name))).inverted


@pytest.mark.real_data
@pytest.mark.skipif(not (REAL / "brain-tumor-4class").is_dir(), reason="needs the real images in ../shared/data")
def test_copies_across_the_official_split_of_the_brain_tumor_set_are_found():
    """Of the first 8 groups.csv clusters on both sides, with 100 other slices."""
    import csv

    root = REAL / "brain-tumor-4class"
    groups: dict[str, list[str]] = {}
    for line in csv.DictReader((root / "groups.csv").open(encoding="utf-8")):
        groups.setdefault(line["group"], []).append(line["path"])
    across = [paths for paths in groups.values() if len({path.split("/")[0] for path in paths}) > 1][:8]
    alone = [paths[0] for paths in groups.values() if len(paths) == 1][::17][:100]
    base = phantom.rows("brain_mri", seed=0, count=1)[0]
    rows = [
        replace(base, row_id=path, patient_id=None, lesion_id=None, image_path=path, mask_path=None, root=root,
                label=path.split("/")[1], source="real", split=None)
        for path in [*(path for paths in across for path in paths), *alone]
    ]  # fmt: skip
    told = serious(audit(rows))["copies across splits"]
    assert sum(bool(told & set(paths)) for paths in across) >= 7
    assert len(told & set(alone)) <= 2
