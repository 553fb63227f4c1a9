"""Truth: a run compared with itself, with a better one, and with one on other images."""

import pytest

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.runs import check_same_test_images, compared_runs, digest_of_test_images
from meddiff.metrics.resampling import Resampling
from tests.evaluation.classifiers.predictions import CLASSES, study

SETTINGS = {"resampling": Resampling(60, seed=1)}


def test_a_run_and_itself():
    table = study({"real": 1.0, "real_synthetic": 1.5})
    differences, tests = compared_runs(table, table, CLASSES, **SETTINGS)
    assert (differences[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(differences["arm"]) == {"real", "real_synthetic"}
    assert (tests["p_holm"] == 1).all()


def test_a_better_run_is_better_in_every_arm():
    ours = study({"a": 3.0, "b": 3.0}, seeds=(0, 1, 2, 3))
    theirs = study({"a": 0.5, "b": 0.5, "c": 1.0}, seeds=(1, 2, 3, 4))
    differences, tests = compared_runs(ours, theirs, CLASSES, **SETTINGS)
    overall = differences[differences["metric"] == "balanced_accuracy"]
    assert (overall["low"] > 0).all()
    assert (overall["n_seeds"] == 3).all()
    assert (tests.loc[tests["class_name"] == "", "p_holm"] < 0.001).all()
    assert len(tests) == 2 * 5


def test_other_test_images_are_refused_by_name():
    table = study({"a": 1.0})
    assert digest_of_test_images(table) == digest_of_test_images(table.sample(frac=1, random_state=0))
    assert check_same_test_images({"one": table, "two": study({"b": 2.0})}) == digest_of_test_images(table)
    fewer = table[table["row_id"] != "r7"]
    with pytest.raises(InputError, match="fewer was judged on other test images than all") as told:
        check_same_test_images({"all": table, "fewer": fewer})
    assert "239 images in both, 0 in fewer alone, 1 in all alone" in str(told.value)
    other = "nevus" if table["label"][7] != "nevus" else "melanoma"
    relabeled = table.assign(label=table["label"].where(table["row_id"] != "r7", other))
    with pytest.raises(InputError, match="239 images in both, 1 in"):
        compared_runs(table, relabeled, CLASSES)
    with pytest.raises(InputError, match="share no arm"):
        compared_runs(table, table.assign(arm="b"), CLASSES)
