"""Names that are nearly one name: whatever they are and however they come and go, each image has the mask of itself."""

import shutil
import unicodedata
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from meddiff.files.content import content_of
from meddiff.formats import save_image
from meddiff.formats.find import find, join_channels
from meddiff.jobs.apply.ledger import Ledger, read_lines
from meddiff.jobs.segment.predict import MASK
from tests.jobs.test_ledger import assert_right, picture, run, volume

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Zoë é") for form in ("NFC", "NFD"))
NEARLY_ONE = {
    "capitals": ("Case_a", "case_A"),
    "letters of two forms": (COMPOSED, DECOMPOSED),
    "numbers": ("1", "1.0"),
    "leading zeros": ("001", "1"),
    "numbers of a table": ("1e3", "1000"),
    "a dot at the end": ("a", "a."),
    "two dots at the end": ("a.", "a.."),
    "a blank at the end": ("a", "a "),
    "a blank at the beginning": ("a", " a"),
    "blanks within": ("a b", "a  b"),
    "a word of an output": ("a", "a_mask"),
    "two words of outputs": ("a_mask", "a_mask_mask"),
    "an output of another": ("a_probability_lesion", "a"),
    "an ending in the name": ("a", "a.png"),
    "signs": ("a-b", "a_b"),
    "a formula": ("=a", "a"),
    "a sign": ("+1", "1"),
    "an apostrophe": ("'=a", "=a"),
    "words of tables": ("nan", "NA"),
    "nothing and none": ("None", "null"),
    "true": ("True", "TRUE"),
    "letters that look alike": ("a", "\u0430"),
    "eszett": ("straße", "strasse"),
    "a hidden letter": ("ab", "a\u200bb"),
    "a comma": ("a,b", "a"),
    "quotes": ('a"b', "ab"),
    "a line break": ("a\nb", "ab"),
    "percent": ("a%20b", "a b"),
    "numbered": ("a_0000", "a_0001"),
    "long": ("x" * 200, "x" * 199),
}


@pytest.mark.parametrize("pair", NEARLY_ONE)
@pytest.mark.parametrize("order", permutations((0, 1)))
def test_names_that_are_nearly_one(tmp_path, pair, order):
    first, second = (NEARLY_ONE[pair][place] for place in order)
    (tmp_path / "in").mkdir()
    picture(tmp_path / "in", first, 1)
    assert len(run(tmp_path).tasks) == 1
    assert_right(tmp_path)
    picture(tmp_path / "in", second, 2)
    assert len(run(tmp_path).tasks) == 1, "the new one, and no other"
    assert_right(tmp_path)
    assert run(tmp_path).tasks == []
    (tmp_path / "in" / f"{first}.png").unlink()
    assert run(tmp_path).tasks == []
    assert_right(tmp_path)
    (tmp_path / "in" / f"{second}.png").rename(tmp_path / "in" / f"{first}.png")
    run(tmp_path)
    assert_right(tmp_path)


@pytest.mark.parametrize("pair", NEARLY_ONE)
def test_folders_whose_names_are_nearly_one(tmp_path, pair):
    for seed, name in enumerate(NEARLY_ONE[pair]):
        (tmp_path / "in" / name).mkdir(parents=True)
        picture(tmp_path / "in" / name, "image", seed)
    run(tmp_path)
    assert_right(tmp_path)
    first, second = (tmp_path / "in" / name for name in NEARLY_ONE[pair])
    first.rename(tmp_path / "in" / "between")
    second.rename(first)
    (tmp_path / "in" / "between").rename(second)
    run(tmp_path)
    assert_right(tmp_path)


def test_a_folder_of_another_name(tmp_path):
    (tmp_path / "in" / "old").mkdir(parents=True)
    picture(tmp_path / "in" / "old", "a", 1)
    run(tmp_path)
    (tmp_path / "in" / "old").rename(tmp_path / "in" / "new")
    run(tmp_path)
    assert_right(tmp_path)


def test_one_image_by_two_links(tmp_path):
    (tmp_path / "in").mkdir()
    picture(tmp_path, "there", 1)
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.png").symlink_to(tmp_path / "there.png")
    run(tmp_path)
    assert_right(tmp_path)
    picture(tmp_path, "there", 2)
    assert len(run(tmp_path).tasks) == 2
    assert_right(tmp_path)


def test_two_channels_are_one_image(tmp_path):
    (tmp_path / "in").mkdir()

    def segment() -> Ledger:
        ledger = Ledger(tmp_path / "out", "weights", MASK)
        ledger.begin(join_channels(find(tmp_path / "in")))
        for task in ledger.tasks:
            ledger.start(task)
            mask = tmp_path / "out" / f"{task.name}_mask.png"
            mask.write_text(content_of(task.image.files, ordered=True))
            ledger.note(task, {"mask": mask.name})
        ledger.save()
        return ledger

    for number in range(2):
        volume(tmp_path / "in", f"a_{number:04d}", number)
    assert [task.name for task in segment().tasks] == ["a"]
    assert segment().tasks == []
    volume(tmp_path / "in", "a_0001", 7)
    assert [task.again for task in segment().tasks] == ["the image has changed"]
    (tmp_path / "in" / "a_0001.nii.gz").unlink()
    assert [task.name for task in segment().tasks] == ["a_0000"], "a channel alone is another image"
    lines = read_lines(tmp_path / "out" / "predictions.csv", MASK)
    assert (lines["a"]["stale"] != "", lines["a_0000"]["stale"]) == (True, "")


def replaced(image: Path, seed: int) -> None:
    save_image(np.full((4, 5, 3), seed, np.uint8), image)


@pytest.mark.parametrize("what", [lambda image: replaced(image, 9), Path.unlink])
def test_an_image_that_changes_while_it_is_segmented(tmp_path, what):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("ab"):
        picture(tmp_path / "in", name, seed)
    ledger = Ledger(tmp_path / "out", "weights", MASK)
    ledger.begin(find(tmp_path / "in"))
    for task in ledger.tasks:
        ledger.start(task)
        (tmp_path / "out" / f"{task.name}_mask.png").write_text(f"{content_of(task.image.files)} weights")
        if task.name == "a":
            what(task.image.path)
        ledger.note(task, {"mask": f"{task.name}_mask.png"})
    ledger.save()
    lines = read_lines(tmp_path / "out" / "predictions.csv", MASK)
    assert (lines["a"]["problem"], lines["b"]["problem"]) == (MASK.while_read, "")
    run(tmp_path)
    assert_right(tmp_path)


def test_an_image_that_changes_while_others_are_segmented(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("ab"):
        picture(tmp_path / "in", name, seed)
    run(tmp_path)
    shutil.rmtree(tmp_path / "out")
    ledger = Ledger(tmp_path / "out", "weights", MASK)
    ledger.begin(find(tmp_path / "in"))
    for task in ledger.tasks:
        ledger.content(task.image)  # it was looked at before its turn
    replaced(tmp_path / "in" / "b.png", 9)
    for task in ledger.tasks:
        ledger.start(task)
        (tmp_path / "out" / f"{task.name}_mask.png").write_text(f"{content_of(task.image.files)} weights")
        ledger.note(task, {"mask": f"{task.name}_mask.png"})
    ledger.save()
    assert_right(tmp_path)
