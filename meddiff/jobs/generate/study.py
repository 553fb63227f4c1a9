"""The tables of a run's study, from what its classifiers said: read, computed, written beside the predictions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff import build
from meddiff.evaluation.classifiers.study import Study, read_study
from meddiff.evaluation.classifiers.tables import StudyTables, study_tables
from meddiff.files.tables import read_table, write_table
from meddiff.jobs.generate.classify import predicted_columns
from meddiff.recipe import Recipe
from meddiff.run import RunFolder


def read_predictions(path: Path, names: list[str]) -> pd.DataFrame:
    """The long table of predictions of a run."""
    return read_table(path, predicted_columns(names))


def study_of(folder: RunFolder, names: list[str]) -> Study:
    """What the classifiers of a run said, of test and validation images."""
    predictions, validation = (
        read_predictions(path, names) for path in (folder.predictions, folder.validation_predictions)
    )
    return read_study(predictions, names, validation)


def tables_of(recipe: Recipe, folder: RunFolder, names: list[str]) -> StudyTables:
    """All tables of the study; every arm is compared with the best of those without synthetic images."""
    return study_tables(
        study_of(folder, names),
        reference_arms=[name for name in recipe.classifier.arms if not build.arm(name).synthetic],
        attributes=read_table(folder.attributes, ["row_id"]),
        arms=read_table(folder.arms, ["arm", "ratio", "n_real", "n_synthetic", "n_seeds"]),
        resamples=recipe.evaluation.resamples,
        confidence_level=recipe.evaluation.confidence_level,
        seed=recipe.seed,
    )


def write_tables(tables: StudyTables, folder: RunFolder) -> list[Path]:
    """scores.csv, differences.csv, tests.csv, subgroups.csv and curve.csv; returns their paths."""
    files = {
        folder.scores: tables.scores,
        folder.differences: tables.differences,
        folder.tests: tables.tests,
        folder.subgroups: tables.subgroups,
        folder.curve: tables.curve,
    }
    for path, table in files.items():
        write_table(table, path)
    return list(files)
