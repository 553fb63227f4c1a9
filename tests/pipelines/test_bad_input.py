"""The clumsy and the hostile user: one clear sentence (what was got, what is allowed, what to do), and nothing lost."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from meddiff.manifest.table import read_manifest
from meddiff.pipelines import augment, build_manifest, classify, train
from meddiff.run import RunFolder
from tests.pipelines.small import arguments, copied, draw

CLASSES = {"a": 24, "b": 24, "c": 24}
HEADER = ["row_id", "dataset", "image_path", "source", "label"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bad_input")


@pytest.fixture(scope="module")
def images(workplace) -> Path:
    """Good images, which no test changes."""
    return draw(workplace / "images", CLASSES)


@pytest.fixture(scope="module")
def finished(workplace, images) -> Path:
    """A finished run, which no test changes."""
    out = workplace / "finished"
    assert augment.main(arguments(workplace, out, "--data-root", images)) == 0
    return out


@pytest.fixture
def run(workplace, tmp_path, capsys):
    """Run a command; what it answers: exit code, terminal, and the error."""

    def answer(command, *more: str | Path, out: Path | None = None) -> tuple[int, str, str]:
        code = command.main(arguments(workplace, out or tmp_path / "run", *more))
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err[shown.err.find("error:") :]

    return answer


def refused(answer: tuple[int, str, str], *words: str) -> None:
    code, _, error = answer
    assert code == 2
    assert error.count("error:") == 1
    assert not [word for word in words if word not in error], error


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cut off or damaged"), (b"", "empty (0 bytes)"), (b"dear diary", "begins with b'dear diary'")],
)
def test_a_file_that_is_no_image_is_named_before_anything_is_trained(run, tmp_path, content, said):
    root = draw(tmp_path / "images", CLASSES)
    file = root / "b" / "03.jpg"
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    refused(run(augment, "--data-root", root), "1 of 72 images", str(file), said, "--data.on_bad_file skip")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_bad_files_are_skipped_only_when_allowed_and_then_listed_everywhere(run, tmp_path):
    root = draw(tmp_path / "images", CLASSES)
    bad = [root / "a" / "05.jpg", root / "c" / "11.jpg"]
    for file in bad:
        file.write_text("no image")
    code, said, _ = run(augment, "--data-root", root, "--data.on_bad_file", "skip")
    assert code == 0
    listed = pd.read_csv(tmp_path / "run" / "skipped.csv")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    page = (tmp_path / "run" / "report.html").read_text()
    for file in bad:
        assert str(file) in said
        assert str(file) in set(listed["file"])
        assert str(file) in {row["file"] for row in report["skipped"]}
        assert str(file) in page
    used = {str(row.image_file) for row in read_manifest(tmp_path / "run" / "manifest.csv", root=root)}
    assert len(used) == 70
    assert not used & {str(file) for file in bad}


def manifest(path: Path, root: Path, *, header=HEADER, change=lambda rows: rows, end="\n", bom="") -> Path:
    """A manifest of the images below root; ``change`` makes it a bad one."""
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*.jpg"))
    rows = change([[file.replace("/", "-"), "mine", file, "real", file[0]] for file in files])
    path.write_text(bom + "".join(",".join(cells) + end for cells in [header, *rows]), newline="")
    return path


@pytest.mark.parametrize("written", [{"end": "\r\n"}, {"bom": "\ufeff"}, {"end": "\r\n", "bom": "\ufeff"}])
def test_a_table_from_a_spreadsheet_is_read(run, tmp_path, images, written):
    table = manifest(tmp_path / "mine.csv", images, **written)
    assert run(build_manifest, "--manifest", table, "--data-root", images)[0] == 0
    assert len(read_manifest(tmp_path / "run" / "manifest.csv", root=images)) == 72


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"header": ["id", *HEADER[1:]]}, ["missing column", "line 1: 'row_id'"]),
        ({"change": lambda rows: [*rows, rows[4]]}, ["duplicate row_id", "line 74", "line 6"]),
        ({"change": lambda rows: [["x", "mine", "../a/00.jpg", "real", "a"], *rows]}, ["climbs out", "line 2"]),
        ({"change": lambda rows: [["x", "mine", "a/99.jpg", "real", "a"], *rows]}, ["does not exist", "line 2"]),
        ({"change": lambda rows: [row[:4] for row in rows], "header": HEADER[:4]}, ["none of the 72", "label column"]),
        ({"change": lambda rows: []}, ["no rows"]),
        (
            {"change": lambda rows: [[*row, "mask.png"] for row in rows], "header": [*HEADER, "mask_path"]},
            ["mask.png is 10 x 10 pixels", "is 24 x 20 pixels", "drawn on this image"],
        ),
    ],
)
def test_a_bad_table_is_refused_with_its_line(run, tmp_path, written, said):
    root = draw(tmp_path / "images", CLASSES)
    Image.new("L", (10, 10)).save(root / "mask.png")
    refused(run(build_manifest, "--manifest", manifest(root / "mine.csv", root, **written)), *said)


@pytest.mark.parametrize(
    ("split_of", "said"),
    [
        (lambda number, label: "test", ["no image is in the train split"]),
        (lambda number, label: "train" if number % 3 else "val", []),
        (
            lambda number, label: "test" if label == "c" or number % 5 == 0 else "train" if number % 5 > 1 else "val",
            ["'c' has 24 images", "without a training image"],
        ),
    ],
    ids=["test rows only", "no test rows", "a class without training images"],
)
def test_a_split_of_ones_own_is_checked_before_training(run, tmp_path, images, split_of, said):
    def with_split(rows):
        return [[*row, split_of(number, row[-1])] for number, row in enumerate(rows)]

    table = manifest(tmp_path / "mine.csv", images, header=[*HEADER, "split"], change=with_split)
    answer = run(build_manifest if not said else augment, "--manifest", table, "--data-root", images)
    if said:
        refused(answer, *said)
        assert not (tmp_path / "run" / "checkpoints").exists()
    else:
        assert "no image is marked as test" in answer[1]
        assert {row.split for row in read_manifest(tmp_path / "run" / "manifest.csv", root=images)} == {
            "train", "val", "test"
        }  # fmt: skip


def test_a_test_split_that_lacks_a_class_is_judged_without_it_and_says_so(run, tmp_path, images):
    def with_split(rows):
        parts = ("test", "val", "train", "train", "train")
        return [
            [*row, "train" if row[-1] == "c" and part == "test" else part]
            for number, row in enumerate(rows)
            for part in [parts[number % 5]]
        ]

    table = manifest(tmp_path / "mine.csv", images, header=[*HEADER, "split"], change=with_split)
    assert run(augment, "--manifest", table, "--data-root", images)[0] == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert any("without c, of which there is no test image" in (row["warning"] or "") for row in report["scores"])


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"a": 1, "b": 24}, ["class with a single group", "'a'", "leave it out"]),
        ({"a": 24}, ["all training images are of one class, 'a'", "Add images of another class"]),
        ({"a": 2, "b": 2}, ["no image is in the val split", "four patients"]),
        ({}, ["no images in class folders"]),
    ],
)
def test_too_few_classes_or_images(run, tmp_path, counts, said):
    root = draw(tmp_path / "images", counts)
    root.mkdir(exist_ok=True)
    refused(run(augment, "--data-root", root), *said)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_one_class_can_be_generated(run, tmp_path):
    assert run(train, "--data-root", draw(tmp_path / "images", {"a": 24}))[0] == 0


def test_tiny_gray_images_of_two_classes_go_all_the_way(run, tmp_path):
    root = draw(tmp_path / "images", {"a": 24, "b": 24}, size=(3, 2), mode="L")
    assert run(augment, "--data-root", root)[0] == 0


def test_a_data_root_that_is_not_there(run, tmp_path):
    refused(run(build_manifest, "--data-root", tmp_path / "nowhere"), "there is no such folder", "--data-root")


def test_hostile_class_names_reach_the_report_as_they_are(run, tmp_path, images):
    names = {"a": "a/b", "b": "a b", "c": "<script>alert(1)</script> [bold] NA"}

    def renamed(rows):
        return [[*row[:-1], names[row[-1]]] for row in rows]

    table = manifest(tmp_path / "mine.csv", images, change=renamed)
    code, said, _ = run(augment, "--manifest", table, "--data-root", images)
    assert code == 0
    assert "[bold]" in said
    assert "<script>alert" not in (tmp_path / "run" / "report.html").read_text()
    synthetic = read_manifest(tmp_path / "run" / "synthetic_manifest.csv")
    assert len({row.image_file for row in synthetic}) == len(synthetic)
    assert {row.label for row in synthetic} == set(names.values())


@pytest.mark.parametrize("names", [("NA", "None", "007"), ("..", "ünï 中", '"a,b"')])
def test_class_names_that_look_like_something_else(run, tmp_path, images, names):
    new = dict(zip("abc", names, strict=True))
    table = manifest(tmp_path / "mine.csv", images, change=lambda rows: [[*r[:-1], new[r[-1]]] for r in rows])
    assert run(augment, "--manifest", table, "--data-root", images)[0] == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    expected = {name.strip('"') for name in names}
    assert {row["class_name"] for row in report["filter_counts"]} == expected
    assert {row["class_name"] for row in report["scores"] if row["class_name"]} == expected


def test_a_filter_that_keeps_nothing_still_ends_in_a_report_that_says_so(run, tmp_path, images, finished):
    out = copied(finished, tmp_path / "run")
    code, said, _ = run(augment, "--data-root", images, "--filter.confidence", "1.0", out=out)
    assert code == 0
    assert "the filter kept no synthetic image: real_synthetic, synthetic left out" in said
    report = json.loads((out / "report.json").read_text())
    assert "not one of those drawn passed the filter" in report["headline"]
    assert {row["arm"] for row in report["scores"]} == {"real"}


@pytest.mark.parametrize(
    ("arms", "said"),
    [("[]", "name at least one"), ("[real,real]", "each once"), ("[synthetic]", "add one without"),
     ("[real,sinthetic]", "did you mean 'synthetic'")],
)  # fmt: skip
def test_arms_that_cannot_be_compared_are_refused_at_once(run, images, arms, said):
    refused(run(augment, "--data-root", images, "--classifier.arms", arms), said)


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--network.channels", "[32]"], "[32, 32] in the checkpoint, [32] here"),
     (["--data.image_size", "24"], "image size: 16 in the checkpoint, 24 here"),
     (["--training.steps", "3"], "4 steps behind it")],
)  # fmt: skip
def test_a_checkpoint_of_another_recipe_is_refused_and_kept(run, tmp_path, images, finished, more, said):
    out = copied(finished, tmp_path / "run")
    refused(run(augment, "--data-root", images, *more, out=out), said, "--out")
    assert (out / "checkpoints" / "step_00000004" / "weights.safetensors").is_file()


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "stale"),
    [("checkpoints/step_00000004/ema.safetensors", "synthetic_manifest.csv"),
     ("checkpoints/step_00000004/checkpoint.json", "synthetic_manifest.csv"), ("stages.json", "report.html"),
     ("filter.csv", "predictions.csv"), ("predictions.csv", "report.html"), ("log.csv", "report.html"),
     ("classifier.safetensors", "report.html")],
)  # fmt: skip
def test_a_damaged_file_is_named_and_cured_by_deleting_it(run, tmp_path, images, finished, name, stale):
    out = copied(finished, tmp_path / "run")
    before = (out / "predictions.csv").read_bytes()
    (out / stale).unlink()
    damaged = out / name
    if name.endswith("ema.safetensors"):
        flip_a_bit(damaged)
    else:
        damaged.write_bytes(b"\xff{[rubbish")
    refused(run(augment, "--data-root", images, out=out), str(damaged), "elete")
    for file in [damaged] if "checkpoints" not in name else damaged.parent.iterdir():
        file.unlink()
    assert run(augment, "--data-root", images, out=out)[0] == 0
    assert (out / "predictions.csv").read_bytes() == before


def test_a_deleted_picture_is_drawn_again_and_is_the_same(run, tmp_path, images, finished):
    out = copied(finished, tmp_path / "run")
    picture = sorted(out.glob("synthetic/*/*/*.png"))[3]
    before = picture.read_bytes()
    picture.unlink()
    (out / "filter.csv").unlink()
    assert run(classify, "--data-root", images, out=out)[0] == 0
    assert picture.read_bytes() == before


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: what a full disk does, in every process and for every user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("size", "name"), [(100, "recipe.yaml"), (3000, "manifest.csv"), (100_000, "checkpoints"), (400_000, "classifier")]
)
def test_a_disk_that_is_full_loses_nothing(run, workplace, tmp_path, images, finished, size, name):
    out = tmp_path / "run"
    if name == "classifier":
        out = copied(finished, out)
        (out / "classifier.safetensors").unlink()
    with files_up_to(size):
        answer = run(augment, "--data-root", images, out=out)
    refused(answer, name, "cannot be written", "Nothing was lost")
    assert not list(out.rglob("*.part"))
    assert run(augment, "--data-root", images, out=out)[0] == 0
    assert (out / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


def test_a_run_folder_in_use_and_one_that_is_a_file(run, tmp_path, images):
    with RunFolder(tmp_path / "run").opened():
        refused(run(augment, "--data-root", images), "another process is running in", "--out")
    (tmp_path / "file").write_text("in the way")
    refused(run(augment, "--data-root", images, out=tmp_path / "file"), "cannot be written", "Name another folder")
