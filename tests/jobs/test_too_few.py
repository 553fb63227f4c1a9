"""What cannot be judged for want of images is said in stage 1, with how many there are and how many are needed."""

import pytest

from meddiff.jobs.manifest import too_few
from meddiff.manifest.row import COLUMNS, ManifestRow


def rows(label: str, **counts: int) -> list[ManifestRow]:
    blank = dict.fromkeys(COLUMNS) | {"dataset": "d", "source": "real", "label": label}
    return [
        ManifestRow(**blank | {"row_id": (name := f"{label}-{split}-{number}"), "image_path": name, "split": split})
        for split, count in counts.items()
        for number in range(count)
    ]


def test_enough_images_are_not_spoken_of():
    both = rows("a", train=5, val=5, test=5) + rows("b", train=9, val=9, test=9)
    assert too_few(both, by_class=True) == []
    assert too_few(rows("a", train=1, val=1, test=10), by_class=False) == []


@pytest.mark.parametrize("by_class", [True, False])
def test_a_small_test_split_cannot_judge(by_class):
    first, *_ = too_few(rows("a", train=50, val=5, test=9), by_class=by_class)
    assert (
        "the test split has 9 images of 9 patients or lesions, and with fewer than 10 of these nothing can be" in first
    )
    assert "--data.train_fraction" in first


def test_a_small_class_is_named_with_its_counts():
    known = rows("a", train=50, val=5, test=20) + rows("b", train=8, val=1, test=4) + rows("c", train=4, val=5, test=5)
    (said,) = too_few(known, by_class=True)
    assert said.startswith("too few images of b (train 8, val 1, test 4); c (train 4, val 5, test 5): a class needs at")
    assert "at least 5 in each split" in said
    assert too_few(known, by_class=False) == []
