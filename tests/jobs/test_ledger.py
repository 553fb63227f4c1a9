"""Whatever happens to inputs and outputs between two runs, every mask is of the image whose name it has."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.files.content import content_of
from meddiff.formats import save_image
from meddiff.formats.find import find, join_channels
from meddiff.jobs.apply.ledger import CHANGED, SETTINGS, Ledger, read_lines
from meddiff.jobs.segment.predict import MASK
from tests.dicom_series import write_series


def picture(folder: Path, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    save_image(pixels, folder / f"{name}.png")


def volume(folder: Path, name: str, seed: int, suffix: str = ".nii.gz") -> None:
    values = np.random.default_rng(seed).integers(0, 255, (3, 4, 2)).astype(np.int16)
    kind = nibabel.Nifti1Pair if suffix in (".hdr", ".img") else nibabel.Nifti1Image
    nibabel.save(kind(values, np.eye(4)), folder / f"{name}{suffix}")


def pair(folder: Path, name: str, seed: int) -> None:
    volume(folder, name, seed, ".img")


def nrrd(folder: Path, name: str, seed: int) -> None:
    import SimpleITK

    values = np.random.default_rng(seed).integers(0, 255, (3, 4, 2)).astype(np.int16)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(folder / f"{name}.mhd"))


def series(folder: Path, name: str, seed: int) -> None:
    """A patient's folder; all series have the number 7."""
    shutil.rmtree(folder / name, ignore_errors=True)
    write_series(folder / name, SeriesInstanceUID=f"1.2.{seed}", RescaleIntercept=-seed)


KINDS = {"picture": picture, "volume": volume, "pair": pair, "detached": nrrd, "series": series}
NAMES = ("1.3.6.200", "1.3.6.300", "b", "B")


@pytest.fixture(params=KINDS, ids=str)
def kind(request):
    return request.param


@pytest.fixture
def place(tmp_path, kind):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(NAMES):
        KINDS[kind](tmp_path / "in", name, seed)
    return tmp_path


def run(place: Path, *, made_by: str = "weights", stop_after: int | None = None) -> Ledger:
    """Segment what is there: a mask holds the hash of its image and by what it was made."""
    ledger = Ledger(place / "out", made_by, MASK)
    ledger.begin([one for one in find(place / "in") if one.kind != "other"])
    for number, task in enumerate(ledger.tasks):
        ledger.start(task)
        mask = place / "out" / f"{task.name}_mask.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        mask.write_text(f"{content_of(task.image.files)} {made_by}")
        if number == stop_after:
            return ledger  # killed: the mask stands, its line was not written
        ledger.note(task, {"mask": mask.relative_to(place / "out").as_posix()})
    ledger.save()
    return ledger


def assert_right(place: Path, *, made_by: str = "weights") -> None:
    """Every image has one line and the mask of itself; of all other lines it is said that their images are gone."""
    lines = read_lines(place / "out" / "predictions.csv", MASK)
    images = {str(one.path): one for one in find(place / "in") if one.kind != "other"}
    told = {line["file"]: line for line in lines.values() if not line["stale"]}
    assert set(told) == set(images)
    for path, one in images.items():
        content = content_of(one.files)
        assert told[path]["sha256"] == content
        assert (place / "out" / told[path]["mask"]).read_text() == f"{content} {made_by}"
    masks = [line["mask"].casefold() for line in lines.values()]
    assert len(masks) == len(set(masks))


def test_names_are_whole(place, kind):
    run(place)
    assert_right(place)
    stem = "1.3.6.200/series_7" if kind == "series" else "1.3.6.200"
    assert (place / "out" / f"{stem}_mask.png").is_file()


def test_twice_is_once(place):
    run(place)
    before = (place / "out" / "predictions.csv").read_bytes()
    again = run(place)
    assert (len(again.kept), again.tasks) == (len(NAMES), [])
    assert (place / "out" / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["1.3.6.100", "1.3.6.250", "a", "z"])
def test_a_new_image_is_segmented_and_no_other(place, kind, name):
    run(place)
    KINDS[kind](place / "in", name, 77)
    assert [task.image.path.match(f"*{name}*") or name in str(task.image.path) for task in run(place).tasks] == [True]
    assert_right(place)


def test_a_replaced_image_is_segmented_again(place, kind):
    run(place)
    KINDS[kind](place / "in", NAMES[0], 77)
    assert [task.again for task in run(place).tasks] == [CHANGED]
    assert_right(place)


def test_two_images_that_change_places_are_segmented_again(place):
    run(place)
    names = [path.name for path in (place / "in").iterdir() if path.name.startswith(NAMES[0])]
    others = [name.replace(NAMES[0], NAMES[1]) for name in names]
    for name, other in zip(names, others, strict=True):
        (place / "in" / name).rename(place / "in" / "aside")
        (place / "in" / other).rename(place / "in" / name)
        (place / "in" / "aside").rename(place / "in" / other)
    run(place)
    assert_right(place)


def test_an_image_that_goes_is_said_and_its_mask_stays(place):
    run(place)
    before = {file: file.read_bytes() for file in (place / "out").rglob("*_mask.png")}
    for path in [path for path in (place / "in").iterdir() if path.name.startswith(NAMES[0])]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = run(place)
    assert len(again.gone) == 1
    assert again.tasks == []
    assert {file: file.read_bytes() for file in (place / "out").rglob("*_mask.png")} == before
    assert_right(place)


def test_other_weights_make_all_anew(place):
    run(place)
    assert [task.again for task in run(place, made_by="others").tasks] == [SETTINGS] * len(NAMES)
    assert_right(place, made_by="others")


def test_a_mask_that_is_lost_is_made_again(place):
    run(place)
    next((place / "out").rglob("*_mask.png")).unlink()
    assert [task.again for task in run(place).tasks] == [MASK.missing]
    assert_right(place)


@pytest.mark.parametrize("stop_after", range(3))
def test_killed_between_a_mask_and_its_line(place, stop_after):
    run(place, stop_after=stop_after)
    run(place)
    assert_right(place)


def test_killed_and_then_the_old_image_put_back(place, kind):
    """The mask of the new image was written, its line was not; then the old image is there again."""
    run(place)
    shutil.copytree(place / "in", place / "kept")
    KINDS[kind](place / "in", NAMES[0], 77)
    run(place, stop_after=0)
    shutil.rmtree(place / "in")
    (place / "kept").rename(place / "in")
    run(place)
    assert_right(place)


def test_the_folder_of_the_images_moves(place):
    run(place)
    (place / "in").rename(place / "elsewhere")
    ledger = Ledger(place / "out", "weights", MASK)
    ledger.begin([one for one in find(place / "elsewhere") if one.kind != "other"])
    assert ledger.tasks == []


@pytest.mark.parametrize(("first", "second"), [("a.png", "a.jpg"), ("a.jpg", "a.png"), ("a.nii.gz", "a.png"),
                                               ("a.nii", "a.nii.gz"), ("x/a.png", "x/A.png")])  # fmt: skip
@pytest.mark.parametrize("later", [True, False])
def test_images_of_one_stem(tmp_path, first, second, later):
    """Together or one after the other; then the first goes."""

    def make(name, seed):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if ".nii" in name:
            volume(file.parent, file.name.partition(".")[0], seed, file.name[1:])
        else:
            save_image(np.full((4, 5, 3), seed, np.uint8), tmp_path / "drawn.png")
            (tmp_path / "drawn.png").rename(file)

    make(first, 1)
    if later:
        run(tmp_path)
    make(second, 2)
    assert len(run(tmp_path).tasks) == (1 if later else 2)
    assert_right(tmp_path)
    (tmp_path / "in" / first).unlink()
    assert run(tmp_path).tasks == []
    assert_right(tmp_path)


def test_patients_whose_series_lie_in_one_folder(tmp_path):
    for number, name in enumerate(("b", "c", "a")):
        write_series(tmp_path / name, SeriesInstanceUID=f"1.2.{number}", PatientID=name)
        (tmp_path / "in").mkdir(exist_ok=True)
        for file in (tmp_path / name).iterdir():
            file.rename(tmp_path / "in" / f"{name}{file.name}")
        assert len(run(tmp_path).tasks) == 1
        assert_right(tmp_path)
    assert not [file for file in (tmp_path / "out").rglob("*") if "1.2." in file.name], "no UID in a name"


def test_slices_in_another_order_are_the_same_series(tmp_path):
    write_series(tmp_path / "in" / "p")
    run(tmp_path)
    for number, file in enumerate(sorted((tmp_path / "in" / "p").iterdir(), reverse=True)):
        file.rename(file.with_name(f"IM{number}"))
    assert run(tmp_path).tasks == []


def test_channels_that_change_places_are_another_image(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("c_0000", "c_0001")):
        volume(tmp_path / "in", name, seed)
    begun = Ledger(tmp_path / "out", "weights", MASK)
    begun.begin(join_channels(find(tmp_path / "in")))
    assert [task.name for task in begun.tasks] == ["c"]
    begun.start(begun.tasks[0])
    (tmp_path / "out" / "c_mask.png").write_text("x")
    begun.note(begun.tasks[0], {"mask": "c_mask.png"})
    begun.save()
    (tmp_path / "in" / "c_0000.nii.gz").rename(tmp_path / "in" / "aside")
    (tmp_path / "in" / "c_0001.nii.gz").rename(tmp_path / "in" / "c_0000.nii.gz")
    (tmp_path / "in" / "aside").rename(tmp_path / "in" / "c_0001.nii.gz")
    again = Ledger(tmp_path / "out", "weights", MASK)
    again.begin(join_channels(find(tmp_path / "in")))
    assert [task.again for task in again.tasks] == [CHANGED]


def test_what_lay_beside_a_mask_goes_with_it_and_nothing_else(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a", "a_member_1", "a_probability_x")):
        picture(tmp_path / "in", name, seed)
    run(tmp_path)
    beside = [tmp_path / "out" / f"a_{what}" for what in ("member_07.png", "probability_lesion.png", "seg.dcm")]
    mine = [tmp_path / "out" / name for name in ("a_notes.txt", "a_mask.txt", "ab_mask.png")]
    for file in (*beside, *mine):
        file.write_text("x")
    picture(tmp_path / "in", "a", 77)
    assert len(run(tmp_path).tasks) == 1
    assert_right(tmp_path)
    assert not any(file.exists() for file in beside)
    assert all(file.exists() for file in mine)


@pytest.mark.parametrize("name", ["b_mask.png", "b_probability_lesion.png", "predictions.csv"])
def test_what_others_have_made_is_not_replaced(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    picture(tmp_path / "in", "b", 1)
    (tmp_path / "out" / name).write_text("name,other\nb,1\n")
    with pytest.raises(InputError, match="Name another folder"):
        run(tmp_path)
    assert [file.name for file in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_text() == "name,other\nb,1\n"


def test_ids_that_look_like_numbers_stay_as_they_are(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("1", "1.0", "01", "1e3", "nan", "NA", "007")):
        picture(tmp_path / "in", name, seed)
    run(tmp_path)
    assert run(tmp_path).tasks == []
    assert_right(tmp_path)
