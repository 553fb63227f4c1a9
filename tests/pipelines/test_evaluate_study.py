"""evaluate augmentation and leaderboard on folders of finished classifiers, made without training one."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from meddiff.evaluation.classifiers.subgroups import attributes_of
from meddiff.files.long_tables import write_table
from meddiff.manifest.table import write_manifest
from meddiff.pipelines.evaluate import main
from meddiff.recipe import ClassifierRecipe, EvaluationRecipe, Recipe, to_dict
from meddiff.run import RunFolder
from tests.evaluation.classifiers.predictions import CLASSES, study
from tests.manifest.rows import example_row

SKILL = {"real": 0.8, "real_classical": 1.0, "real_synthetic": 2.0, "ratio_1": 1.6, "ratio_2": 2.4}
ARMS = ("real", "real_classical", "real_synthetic")


def finished(path: Path, skill=SKILL, *, images=240, classes=CLASSES) -> RunFolder:
    """A run folder as the stage classify leaves it, of made predictions."""
    path.mkdir()
    folder = RunFolder(path)
    recipe = Recipe(
        classifier=ClassifierRecipe(arms=ARMS, ratios=(1.0, 2.0)), evaluation=EvaluationRecipe(resamples=100)
    )
    folder.recipe.write_text(yaml.safe_dump(to_dict(recipe)))
    test, val = study(skill, images=images), study(skill, images=images, seed=1)
    cases = test.drop_duplicates("row_id")
    rows = [
        example_row(row["row_id"], root=path, split="test", label=row["label"], patient_id=row["group"],
                    sex=("female", "male")[int(row["group"][7:]) % 2], source="phantom")
        for _, row in cases.iterrows()
    ]  # fmt: skip
    training = [example_row(f"t{k}", root=path, split="train", label=name) for k, name in enumerate(classes)]
    write_manifest([*rows, *training], folder.manifest)
    counts = [0, 0, 70, 100, 180]
    arms = {"arm": list(skill), "ratio": [None, None, None, 1.0, 2.0], "n_real": 100, "n_synthetic": counts}
    known = {"features": "classifier", "metric": "frechet_distance"}
    distances = [
        known | {"comparison": comparison, "value": value}
        for comparison, value in (("real against synthetic", 3.2), ("real against held-out real", 1.0))
    ]
    for table, file in (
        (test, folder.predictions), (val, folder.validation_predictions), (attributes_of(rows), folder.attributes),
        (pd.DataFrame(arms | {"n_seeds": 3}).iloc[: len(skill)], folder.arms),
        (pd.DataFrame(distances), folder.distances),
    ):  # fmt: skip
        write_table(table, file)
    return folder


@pytest.fixture
def run(tmp_path):
    return finished(tmp_path / "run")


def evaluate(*words) -> int:
    return main([str(word) for word in words])


def test_all_tables_are_made_of_the_predictions(run, capsys):
    assert evaluate("augmentation", "--run", run.path, "--tables-only") == 0
    scores, curve = pd.read_csv(run.scores), pd.read_csv(run.curve)
    assert set(scores["arm"]) == set(SKILL)
    rise = curve[curve["metric"] == "macro_auroc"]
    assert rise["ratio"].tolist() == [0, 1, 2]
    assert rise["estimate"].is_monotonic_increasing
    groups = pd.read_csv(run.subgroups)
    assert set(groups["attribute"]) == {"sex"}
    assert set(groups["subgroup"]) == {"female", "male"}
    tests = pd.read_csv(run.tests)
    assert set(tests["reference"]) == {"real_classical"}
    assert (tests["p_holm"] >= tests["p_value"]).all()
    assert "wrote scores.csv, differences.csv, tests.csv, subgroups.csv, curve.csv" in capsys.readouterr().out
    before = run.scores.read_bytes()
    run.scores.unlink()
    assert evaluate("augmentation", "--run", run.path, "--tables-only") == 0
    assert run.scores.read_bytes() == before


def test_two_runs_case_by_case(run, tmp_path, capsys):
    weaker = finished(tmp_path / "weaker", dict.fromkeys(SKILL, 0.3))
    assert evaluate("augmentation", "--run", run.path, "--against", weaker.path, "--tables-only") == 0
    found = pd.read_csv(run.path / "against.csv")
    better = found[found["metric"] == "balanced_accuracy"]
    assert set(better["arm"]) == set(SKILL)
    assert (better["difference"] > 0).all()
    assert set(found["against"]) == {str(weaker.path)}
    assert len(pd.read_csv(run.path / "against_tests.csv")) == 5 * len(SKILL)
    assert "this run minus" in capsys.readouterr().out


def test_the_leaderboard_has_a_row_per_run_and_arm_the_best_first(run, tmp_path, capsys):
    weaker = finished(tmp_path / "weaker", dict.fromkeys(SKILL, 0.3))
    for folder in (run, weaker):
        assert evaluate("augmentation", "--run", folder.path, "--tables-only") == 0
    assert evaluate("leaderboard", run.path, weaker.path, "--out", tmp_path / "board.csv") == 0
    board = pd.read_csv(tmp_path / "board.csv")
    assert len(board) == 2 * len(SKILL)
    assert board["balanced_accuracy"].is_monotonic_decreasing
    first = board.iloc[0]
    assert (first["arm"], first["run"], first["n_synthetic"]) == ("ratio_2", str(run.path), 180)
    scores = pd.read_csv(run.scores).query("arm == 'ratio_2' and metric == 'macro_auprc'").iloc[0]
    assert first[["macro_auprc", "macro_auprc_low"]].tolist() == pytest.approx([scores["estimate"], scores["low"]])
    assert board["test_images"].nunique() == 1
    assert (board["frechet_distance"].notna() == (board["n_synthetic"] > 0)).all()
    assert "10 rows" in capsys.readouterr().out


def test_what_does_not_compare_is_refused_by_name(run, tmp_path, capsys):
    other = finished(tmp_path / "other", images=238)
    for folder in (run, other):
        assert evaluate("augmentation", "--run", folder.path, "--tables-only") == 0
    assert evaluate("leaderboard", run.path, other.path, "--out", tmp_path / "board.csv") == 2
    said = capsys.readouterr().err
    assert f"{other.path} was judged on other test images than {run.path}" in said
    assert not (tmp_path / "board.csv").exists()
    assert evaluate("augmentation", "--run", run.path, "--against", other.path, "--tables-only") == 2
    assert evaluate("augmentation", "--run", run.path, "--against", run.path, "--tables-only") == 2
    assert "is the run itself" in capsys.readouterr().err
    assert evaluate("leaderboard", run.path, run.path) == 2
    assert "named twice" in capsys.readouterr().err
    other.validation_predictions.unlink()
    assert evaluate("augmentation", "--run", other.path) == 2
    assert "validation_predictions.csv is missing" in capsys.readouterr().err
    assert evaluate("augmentation", "--run", tmp_path) == 2
    assert "is no run folder" in capsys.readouterr().err


def test_two_runs_of_other_classes(run, tmp_path, capsys):
    other = finished(tmp_path / "other", classes=(*CLASSES, "wart"))
    assert evaluate("augmentation", "--run", run.path, "--against", other.path, "--tables-only") == 2
    assert "runs with other classes do not compare" in capsys.readouterr().err


def test_without_its_images_the_report_says_what_is_missing(run, capsys):
    assert evaluate("augmentation", "--run", run.path) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not run.report_html.exists()
