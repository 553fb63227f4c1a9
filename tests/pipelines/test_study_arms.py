"""Which images each arm of a study trains on, and how strong its classical augmentation is."""

from collections import Counter
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from meddiff import build
from meddiff.errors import InputError
from meddiff.files.long_tables import write_table
from meddiff.jobs.generate.arms import arms_table, images_of_arms, strength_of, training_rows
from meddiff.jobs.generate.filter import accepted
from meddiff.jobs.generate.synthesize import to_draw, wanted
from meddiff.manifest.table import write_manifest
from meddiff.recipe import ClassifierRecipe, Recipe
from meddiff.run import Run, RunFolder
from tests.manifest.rows import example_row

REAL = {"nv": 12, "mel": 4}
KEPT = {"nv": 20, "mel": 8}
RECIPE = Recipe(classifier=ClassifierRecipe(arms=("real", "real_synthetic", "synthetic"), ratios=(0, 0.5, 1, 2, 5)))


@pytest.fixture
def run(tmp_path):
    """Training images of two classes and synthetic ones that passed the filter, and some that did not."""
    rows = {
        source: [
            example_row(f"{source}-{label}-{k:02d}", root=tmp_path, split="train", label=label, source=source,
                        seed=k if source == "synthetic" else None)
            for label, count in counts.items() for k in range(count)
        ]
        for source, counts in (("real", REAL), ("synthetic", {"nv": 30, "mel": 15}))
    }  # fmt: skip
    folder = RunFolder(tmp_path)
    write_manifest(rows["real"], folder.manifest)
    write_manifest(rows["synthetic"], folder.synthetic_manifest)
    kept = [int(row.row_id[-2:]) < KEPT[row.label] for row in rows["synthetic"]]
    named = [(row.row_id, row.label) for row in rows["synthetic"]]
    table = pd.DataFrame(named, columns=["row_id", "label"])
    write_table(table.assign(kept=kept, reason="", confidence=1.0, predicted=table["label"]), folder.filter)
    return Run(RECIPE, folder, Console(file=StringIO(), width=300))


def counts(rows):
    return dict(Counter((row.source, row.label) for row in rows))


def test_arms_and_ratios(run):
    images = images_of_arms(run)
    said = run.console.file
    assert list(images) == ["real", "real_synthetic", "synthetic", "ratio_0.5", "ratio_1", "ratio_2"]
    assert counts(images["real"]) == {("real", "nv"): 12, ("real", "mel"): 4}
    assert counts(images["real_synthetic"]) == {("real", "nv"): 12, ("real", "mel"): 4, ("synthetic", "mel"): 8}
    assert counts(images["synthetic"]) == {("synthetic", "nv"): 12, ("synthetic", "mel"): 8}
    assert counts(images["ratio_0.5"])["synthetic", "nv"] == 6
    assert counts(images["ratio_0.5"])["synthetic", "mel"] == 2
    assert counts(images["ratio_2"])["synthetic", "nv"] == 20  # all that there are, of 24
    assert counts(images["ratio_2"])["synthetic", "mel"] == 8
    assert "ratio_2: the filter kept images for a ratio of 1.8 only" in said.getvalue()
    assert "ratio_5 left out: the filter kept no more images than for a ratio of 1.8" in said.getvalue()


def test_a_ratio_adds_to_the_images_of_the_one_below(run):
    small, large = ({row.row_id for row in training_rows(build.arm(name), accepted(run), run)}
                    for name in ("ratio_0.5", "ratio_1"))  # fmt: skip
    assert small < large


def test_the_table_says_what_each_arm_was_trained_on(run):
    images = images_of_arms(run)
    table = arms_table(images, RECIPE, {"real": "mild"}).set_index("arm")
    assert table.loc["ratio_1", ["ratio", "n_real", "n_synthetic"]].tolist() == [1.0, 16, 16]
    assert np.isnan(table.loc["real_synthetic", "ratio"])
    assert table["augmentation"].tolist() == ["mild", *["none"] * 5]


def test_enough_images_are_drawn_for_the_largest_ratio(run):
    assert wanted(run) == {"mel": 12, "nv": 12}
    assert to_draw(run) == {"mel": 20, "nv": 60}
    assert to_draw(replace(run, recipe=replace(RECIPE, classifier=ClassifierRecipe()))) == wanted(run)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ratios": (-1.0,)}, "give numbers from 0 to 100"),
        ({"ratios": (1.0, 1.0)}, "each once"),
        ({"ratios": (1.0,), "arms": ("real_balanced", "synthetic")}, "needs the arm real"),
        ({"classical": "midl"}, "did you mean 'mild'"),
        ({"arms": ("ratio_2",)}, "unknown arm of classifier.arms 'ratio_2'"),
    ],
)
def test_settings_that_make_no_study(settings, sentence):
    recipe = Recipe(dataset="phantom", classifier=ClassifierRecipe(**settings))
    with pytest.raises(InputError, match=sentence):
        build.check_names(recipe)


def test_the_best_strength_on_validation_images_is_taken(tmp_path):
    found = pd.DataFrame({"strength": ["mild", "medium", "strong"], "balanced_accuracy": [0.5, 0.6, 0.6]})
    write_table(found, tmp_path / "classical.csv")
    classical = ClassifierRecipe(arms=("real", "real_classical"))

    def strength(classifier, **settings):
        recipe = Recipe(classifier=classifier, **settings)
        return strength_of(recipe, None, None, tmp_path / "classical.csv", Console(file=StringIO()))  # type: ignore[arg-type]

    assert strength(classical) == "medium"
    assert strength(replace(classical, classical="strong")) == "strong"
    assert strength(classical, dimensions=3) == "strong"
