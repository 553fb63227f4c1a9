"""Which images are healthy, and that a model of healthy images is never shown another one."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from meddiff.errors import InputError
from meddiff.jobs.detect.health import is_healthy, learned_alone, with_health
from meddiff.manifest.row import blank_row
from meddiff.manifest.split import assign_splits
from meddiff.recipe import DetectRecipe
from meddiff.recipe.detect import HealthRecipe


def rows(folder, *labels, masks=()):
    made = []
    for number, label in enumerate(labels):
        mask = None
        if masks and masks[number] is not None:
            mask = f"mask{number}.png"
            pixels = np.zeros((8, 8), np.uint8)
            pixels[2, 2 : 2 + masks[number]] = 255
            Image.fromarray(pixels).save(folder / mask)
        row = blank_row(f"row{number}", f"{number}.png", folder)
        made.append(replace(row, label=label, mask_path=mask, patient_id=f"p{number % 12}"))
    return made


def recipe(healthy="", learns="healthy"):
    return DetectRecipe(detect=HealthRecipe(healthy=healthy, learns=learns))


def labels(chosen):
    return [row.label for row in chosen]


@pytest.mark.parametrize(
    ("healthy", "wanted"),
    [("no", ["healthy", "yes", "other"]), ("no, other", ["healthy", "yes", "healthy"])],
)
def test_labels_say_what_is_healthy_and_the_others_keep_theirs(tmp_path, healthy, wanted):
    assert labels(with_health(rows(tmp_path, "no", "yes", None, "other"), recipe(healthy))) == wanted


def test_empty_masks_are_of_healthy_images_whatever_the_label_says(tmp_path):
    made = rows(tmp_path, "glioma", "healthy", None, None, masks=(3, 2, 0, None))
    assert labels(with_health(made, recipe())) == ["glioma", "anomalous", "healthy"]


@pytest.mark.parametrize(
    ("made", "masks", "healthy", "sentence"),
    [
        (("no", "yes"), (), "nein", r"no image has the label 'nein'\. Labels: no \(1\), yes \(1\)"),
        (("no", "yes"), (), "no,normall", "no image has the label 'normall'"),
        (("healthy", "yes", "no"), (), "no", "1 images have the label 'healthy', which --detect.healthy no"),
        (("no", "yes"), (), "", "nothing says which of the 2 images are healthy: name their labels"),
        (("no", "yes"), (2, 3), "", "none of the 2 images has an empty mask: there is no healthy image to learn from"),
    ],
)
def test_what_cannot_be_decided_ends_in_a_sentence(tmp_path, made, masks, healthy, sentence):
    with pytest.raises(InputError, match=sentence):
        with_health(rows(tmp_path, *made, masks=masks), recipe(healthy))


def test_no_anomalous_image_is_learned_from_and_no_patient_is_cut(tmp_path):
    judged = with_health(rows(tmp_path, *["no", "yes", "no"] * 40), recipe("no"))
    split = assign_splits(judged, train=0.6, val=0.2, seed=1)
    kept = learned_alone(split, recipe("no"))
    assert all(is_healthy(row) for row in kept if row.split == "train")
    of_patient = {row.patient_id: row.split for row in kept}
    assert all(of_patient[row.patient_id] == row.split for row in kept)
    assert {row.split for row in kept if not is_healthy(row)} == {"val", "test"}
    assert learned_alone(split, recipe("no", "labels")) == split


def test_a_split_without_a_healthy_image_ends_in_a_sentence(tmp_path):
    judged = [replace(row, split="test" if not is_healthy(row) else "train")
              for row in with_health(rows(tmp_path, "no", "yes"), recipe("no"))]  # fmt: skip
    with pytest.raises(InputError, match="no healthy image is in the val split"):
        learned_alone(judged, recipe("no"))
