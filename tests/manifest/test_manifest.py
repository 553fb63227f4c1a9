"""The manifest: round trips, and one clear sentence for each thing that can be wrong with it."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.errors import InputError
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import COLUMNS, OPTIONAL_COLUMNS, ManifestRow
from meddiff.manifest.table import read_manifest, write_manifest
from tests.manifest.rows import example_row

HEADER = "row_id,dataset,image_path,source"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "data_manifest.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(folder: Path, text: str | bytes, **options) -> str:
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        read_manifest(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_full_row_comes_back_as_it_went(folder):
    full = ManifestRow(
        row_id="a", dataset="d", patient_id="p", lesion_id="l", split="val", image_path="a.png", mask_path="b.png",
        slice_axis=2, slice_index=7, modality="MR", label="with, comma and \"quotes\"", spacing_mm_0=0.1,
        spacing_mm_1=1 / 3, spacing_mm_2=5.0, age_years=61.5, sex="female", site="left\nleg", source="phantom",
        seed=2**62 + 1, generator="é", license="CC0", sha256="0" * 64, root=folder,
    )  # fmt: skip
    bare = example_row("b", root=folder)
    write_manifest([full, bare], folder / "m.csv")
    assert read_manifest(folder / "m.csv") == [full, bare]
    assert (folder / "m.csv").read_text().splitlines()[0] == ",".join(COLUMNS)


texts = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(
    patient=texts,
    label=texts,
    age=st.none() | st.floats(0, 130),
    spacing=st.none() | st.floats(1e-6, 998),
    seed=st.none() | st.integers(0, 2**63 - 1),
)
@settings(max_examples=50, deadline=None)
def test_any_row_comes_back_as_it_went(tmp_path_factory, patient, label, age, spacing, seed):
    folder = tmp_path_factory.mktemp("any")
    row = example_row(root=folder, patient_id=patient, label=label, age_years=age, spacing_mm_0=spacing, seed=seed)
    write_manifest([row], folder / "m.csv")
    assert read_manifest(folder / "m.csv", check_files=False) == [row]


def test_the_manifest_of_the_project_has_the_header_of_the_code():
    project = Path(__file__).resolve().parents[2] / "data_manifest.csv"
    assert project.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_a_column_that_is_optional_is_written_where_some_row_has_it(folder):
    rows = [example_row("a", root=folder, attributes="scanner=Aera;field_tesla=1.5"), example_row("b", root=folder)]
    write_manifest(rows, folder / "m.csv")
    assert (folder / "m.csv").read_text().splitlines()[0] == ",".join((*COLUMNS, *OPTIONAL_COLUMNS))
    assert read_manifest(folder / "m.csv") == rows
    assert rows[0].described == {"scanner": "Aera", "field_tesla": "1.5"}
    assert rows[1].described == {}


@pytest.mark.parametrize(
    ("cell", "problem"),
    [("scanner", "each part is a name, = and a value"), ("a=1;a=2", "a name stands twice"),
     ("a=", "each part"), ("=3", "each part"), ("a b=3", "each part"), ("sex=male", "'sex' is a column")],
)  # fmt: skip
def test_attributes_that_say_nothing_are_named(folder, cell, problem):
    path = write(folder, f"{HEADER},attributes\na,d,a.png,real,{cell}\n")
    with pytest.raises(InputError, match=f"line 2.*{problem}"):
        read_manifest(path)


def test_group_is_the_patient_else_the_lesion_else_the_row():
    assert example_row("r", patient_id="p", lesion_id="l").group == "p"
    assert example_row("r", lesion_id="l").group == "l"
    assert example_row("r").group == "r"


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_bom_and_line_ends_do_not_matter(folder, start, end):
    text = end.join([HEADER + ",split", " a , d,a.png,real,train", "", "b,d,b.png,real,", ""])
    path = write(folder, start + text.encode())
    assert read_manifest(path) == [
        example_row("a", root=folder, dataset="d", split="train"),
        example_row("b", root=folder, dataset="d"),
    ]


def test_root_may_be_elsewhere(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("run")
    rows = [example_row("a", root=folder)]
    write_manifest(rows, elsewhere / "manifest.csv")
    assert read_manifest(elsewhere / "manifest.csv", root=folder) == rows
    with pytest.raises(InputError, match=r"does not exist.*--data-root"):
        read_manifest(elsewhere / "manifest.csv")


def test_writing_moves_paths_to_another_root(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "a.png").write_bytes(b"x")
    rows = [example_row("a", root=folder / "deep"), example_row("b", root=folder)]
    write_manifest(rows, folder / "m.csv", root=folder)
    assert [row.image_path for row in read_manifest(folder / "m.csv")] == ["deep/a.png", "b.png"]
    with pytest.raises(InputError, match="several roots"):
        write_manifest(rows, folder / "n.csv")
    with pytest.raises(InputError, match="lies outside"):
        write_manifest(rows, folder / "n.csv", root=folder / "deep")
    assert not (folder / "n.csv").exists()


def test_a_root_with_dots_is_no_climb(folder, monkeypatch):
    (folder / "work").mkdir()
    monkeypatch.chdir(folder / "work")
    rows = [example_row("a", root=Path(".."))]
    write_manifest(rows, folder / "m.csv")
    assert read_manifest(folder / "m.csv", root="..") == rows


def test_absolute_paths_inside_the_root_become_relative(folder):
    path = write(folder, f"{HEADER}\na,d,{folder}/a.png,real\n")
    assert read_manifest(path)[0].image_path == "a.png"


def test_a_link_below_the_root_is_the_users_will(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk")
    (elsewhere / "z.png").write_bytes(b"x")
    (folder / "images").symlink_to(elsewhere)
    rows = [example_row("z", root=folder, image_path="images/z.png")]
    write_manifest(rows, folder / "m.csv")
    assert read_manifest(folder / "m.csv") == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row_id,dataset,image_path\na,d,a.png\n", ["line 1", "missing column", "'source'", "Add it"]),
        (f"{HEADER},lable\na,d,a.png,real,x\n", ["line 1", "'lable'", "did you mean 'label'", "Rename or remove"]),
        (f"{HEADER},Patient_ID\na,d,a.png,real,x\n", ["'Patient_ID'", "did you mean 'patient_id'"]),
        (f"{HEADER},label,label\na,d,a.png,real,x,x\n", ["named twice", "'label'"]),
        (HEADER.replace(",", ";") + "\na;d;a.png;real\n", ["line 1", "not separated by commas"]),
        (f"{HEADER}\na,d,a.png,real\nb,d,b.png,real\na,d,c.png,real\n", ["line 4: 'a' is already on line 2"]),
        (f"{HEADER}\na,d,a.png,real,\n", ["line 2 has 5, the header 4", "double quotes"]),
        (f"{HEADER}\n,d,a.png,real\n", ["line 2: row_id", "Fill in"]),
        (f"{HEADER}\na,d,../a.png,real\n", ["line 2", "climbs out of the root", "'../a.png'", "--data-root"]),
        (f"{HEADER}\na,d,b/../../a.png,real\n", ["climbs out of the root"]),
        (f"{HEADER}\na,d,..\\a.png,real\n", ["climbs out of the root"]),
        (f"{HEADER}\na,d,/etc/passwd,real\n", ["line 2", "absolute path outside the root", "/etc/passwd"]),
        (f"{HEADER}\na,d,C:\\a.png,real\n", ["absolute path outside the root"]),
        (f"{HEADER},mask_path\na,d,a.png,real,../m.png\n", ["line 2: mask_path", "climbs out"]),
        (f"{HEADER}\na,d,nowhere.png,real\n", ["line 2", "does not exist", "nowhere.png", "--data-root"]),
        (f"{HEADER}\na,d,sub\\a.png,real\n", ["does not exist", "write / between folders"]),
        (f"{HEADER}\na,d,a.png,fake\n", ["line 2", "bad source: line 2: 'fake'", "real, synthetic, phantom"]),
        (f"{HEADER},split\na,d,a.png,real,training\n", ["'training'", "train, val, test"]),
        (f"{HEADER},spacing_mm_0\na,d,a.png,real,999\n", ["spacing_mm_0", "'999'", "leave the cell empty if unknown"]),
        (f"{HEADER},spacing_mm_1\na,d,a.png,real,0\n", ["spacing_mm_1", "'0'"]),
        (f"{HEADER},age_years\na,d,a.png,real,nan\n", ["age_years", "'nan'", "from 0 to 130"]),
        (f"{HEADER},seed\na,d,a.png,real,1.5\n", ["seed", "'1.5'", "a whole number"]),
        (f"{HEADER},slice_axis,slice_index\na,d,a.png,real,3,0\n", ["slice_axis", "'3'", "from 0 to 2"]),
        (f"{HEADER},slice_axis,slice_index\na,d,a.png,real,2,\n", ["line 2", "has only slice_axis"]),
        (f"{HEADER},sha256\na,d,a.png,real,abc\n", ["bad sha256", "64 hexadecimal digits"]),
        (f"{HEADER},split\na,d,a.png,synthetic,test\n", ["line 2", "synthetic image outside train", "never judge"]),
        (f'{HEADER}\na,d,"a.png,real\n', ["not a CSV file"]),
        (f"{HEADER}\n", ["no rows"]),
        ("", ["the file is empty"]),
        (b"\xff\xfer\x00o\x00w\x00", ["not UTF-8", "CSV UTF-8"]),
        ("row_id,dataset\n".encode("utf-16-le"), ["not UTF-8"]),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_with_line_and_cure(folder, text, said):
    message = refused(folder, text)
    for part in said:
        assert part in message


def test_all_that_is_wrong_is_said_at_once_and_counted(folder):
    lines = [f"r{number},d,a.png,real,oops" for number in range(7)]
    message = refused(folder, "\n".join([f"{HEADER},split", *lines, "s,d,../x,real,train"]))
    assert "bad split (7 times)" in message
    assert "line 6: 'oops'" in message
    assert "line 7: 'oops'" not in message
    assert "and 2 more" in message
    assert message.count("Write one of train, val, test") == 1
    assert "climbs out" in message


@pytest.mark.parametrize("column", ["patient_id", "lesion_id"])
def test_a_leak_is_an_error_that_names_the_ids(folder, column):
    text = f"{HEADER},split,{column}\na,d,a.png,real,train,p1\nb,d,b.png,real,test,p1\nc,d,c.png,real,val,p2\n"
    message = refused(folder, text)
    assert f"one {column} in several splits" in message
    assert "'p1' is in train (line 2) and test (line 3)" in message
    assert "p2" not in message


def test_a_blank_does_not_make_another_patient(folder):
    text = f"{HEADER},split,patient_id\na,d,a.png,real,train,p1 \nb,d,b.png,real,test, p1\n"
    assert "several splits" in refused(folder, text)


def test_one_image_file_in_two_splits_is_a_leak(folder):
    text = f"{HEADER},split,slice_axis,slice_index\na,d,a.png,real,train,2,1\nb,d,a.png,real,test,2,2\n"
    assert "one image_path in several splits" in refused(folder, text)


def test_rows_made_in_code_are_checked_alike():
    with pytest.raises(InputError, match=r"here: duplicate row_id: row 2: 'a' is already on row 1"):
        check_rows([example_row("a"), example_row("a", image_path="b.png")], "here")


def test_a_missing_file_or_folder_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path)


def test_a_failed_write_leaves_the_old_file(folder, monkeypatch):
    rows = [example_row("a", root=folder)]
    write_manifest(rows, folder / "m.csv")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full"):
        write_manifest([replace(rows[0], label="new")], folder / "m.csv")
    assert read_manifest(folder / "m.csv") == rows
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png", "c.png", "m.csv"]


def test_files_are_readable_by_all_that_the_umask_lets(folder):
    write_manifest([example_row("a", root=folder)], folder / "m.csv")
    (folder / "plain").write_text("")
    assert stat.S_IMODE((folder / "m.csv").stat().st_mode) == stat.S_IMODE((folder / "plain").stat().st_mode)
