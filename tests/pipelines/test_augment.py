"""The whole job at its smallest: what it writes, that it resumes, and that it resumes to the same bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from contracts import complaints
from PIL import Image
from safetensors.torch import load_file

from meddiff.manifest.table import read_manifest
from meddiff.pipelines.augment import main

TINY = """
data: {image_size: 16, phantom_images: 150}
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 0, patch_size: 2}
training: {steps: 12, batch_size: 8, warmup_steps: 2, checkpoint_every: 2, log_every: 2, sample_every: 12}
synthesis: {steps: 2, per_class: 10, batch_size: 16, oversample: 1.5}
filter: {confidence: 0.0, copy_quantile: 0.0}
classifier: {width: 0.125, steps: 4, batch_size: 16, seeds: 2, ratios: [0, 0.5]}
evaluation: {resamples: 100}
"""
ARMS = {"real", "real_balanced", "real_classical", "real_synthetic", "synthetic", "ratio_0.5"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A recipe file for a run of seconds."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(TINY)
    return file


def arguments(tiny: Path, out: Path, *more: str) -> list[str]:
    cache = f"--data.cache={tiny.parent / 'cache'}"
    return ["--dataset", "isic", "--config", str(tiny), "--out", str(out), cache, *more]


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory) -> Path:
    """One finished run."""
    out = tmp_path_factory.mktemp("run") / "run"
    assert main(arguments(tiny, out)) == 0
    return out


def test_it_writes_what_the_architecture_says(run):
    names = ("recipe.yaml manifest.csv environment.json log.csv filter.csv synthetic_manifest.csv predictions.csv "
             "scores.csv differences.csv distances.csv report.html report.json report.md references.bib "
             "model_card.md stages.json")  # fmt: skip
    assert not [name for name in names.split() if not (run / name).is_file()]
    assert list((run / "samples").glob("*.png"))
    assert not list(run.rglob("*.part"))
    assert not list(run.rglob("*.tmp"))


def test_no_patient_is_in_two_splits(run):
    manifest = pd.read_csv(run / "manifest.csv")
    assert set(manifest["split"]) == {"train", "val", "test"}
    assert (manifest.groupby("patient_id")["split"].nunique() == 1).all()
    assert manifest["patient_id"].nunique() < len(manifest)


def test_every_synthetic_image_is_a_file_and_a_row(run):
    rows = read_manifest(run / "synthetic_manifest.csv")
    assert {row.source for row in rows} == {"synthetic"}
    assert len({row.seed for row in rows}) == len(rows)
    for row in rows:
        assert np.asarray(Image.open(row.image_file)).shape == (16, 16, 3)
        for word in ("checkpoint=", "sampler=dpm_solver", "guidance=", "steps=2"):
            assert word in (row.generator or "")


def test_the_report_says_phantom_and_has_all_arms(run):
    report = json.loads((run / "report.json").read_text())
    assert report["phantom"] is True
    assert complaints(report) == [], "it keeps to its schema"
    assert set(report["provenance"]["images"]) == {"train", "val", "test"}
    assert report["provenance"]["licenses"] == ["CC0-1.0"]
    assert {row["arm"] for row in report["scores"]} == ARMS
    assert "phantom" in (run / "report.html").read_text().lower()
    predictions = pd.read_csv(run / "predictions.csv")
    assert predictions.groupby(["arm", "seed"]).size().nunique() == 1
    assert set(predictions["seed"]) == {0, 1}
    tested = pd.read_csv(run / "manifest.csv").query("split == 'test'")["row_id"]
    assert set(predictions["row_id"]) == set(tested)


def test_a_second_run_does_nothing_again(run, tiny, capsys):
    before = {file: file.stat().st_mtime_ns for file in (run / "checkpoints").rglob("*") if file.is_file()}
    report = (run / "report.json").read_text()
    assert main(arguments(tiny, run)) == 0
    assert capsys.readouterr().out.count("done before, skipped") == 6
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert (run / "report.json").read_text() == report


def test_a_deleted_output_is_made_again_and_is_the_same(run, tiny):
    rows = read_manifest(run / "synthetic_manifest.csv")
    before = {row.image_file: row.image_file.read_bytes() for row in rows}
    for row in rows[3:7]:
        row.image_file.unlink()
    (run / "synthetic_manifest.csv").unlink()
    assert main(arguments(tiny, run)) == 0
    assert {file: file.read_bytes() for file in before} == before


def test_a_checkpoint_of_another_recipe_is_refused_with_the_difference(run, tiny, capsys):
    assert main(arguments(tiny, run, "--network.channels", "[32, 64]")) == 2
    said = capsys.readouterr().err
    assert "[32, 32]" in said
    assert "[32, 64]" in said
    assert main(arguments(tiny, run)) == 0


def test_one_more_ratio_trains_its_classifiers_alone(run, tiny, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run, out)
    before = {file: file.stat().st_mtime_ns for file in (out / "predictions").rglob("*.csv")}
    drawn = {file: file.stat().st_mtime_ns for file in (out / "synthetic").rglob("*.png")}
    assert main(arguments(tiny, out, "--classifier.ratios", "[0,0.5,1]")) == 0
    after = {file: file.stat().st_mtime_ns for file in (out / "predictions").rglob("*.csv")}
    assert {file: after[file] for file in before} == before
    assert {file.name for file in set(after) - set(before)} == {"ratio_1-0.csv", "ratio_1-1.csv"}
    assert {file: file.stat().st_mtime_ns for file in drawn} == drawn
    curve = pd.read_csv(out / "curve.csv")
    assert sorted(set(curve["ratio"])) == [0, 0.5, 1]


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_weights_to_the_bit(run, tiny, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "meddiff.pipelines.train", *arguments(tiny, out)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as in this process: sums of two threads round differently
    moments = random.Random(0)
    kills = 0
    while True:
        had = saved(out)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread)
        while process.poll() is None and saved(out) == had:
            time.sleep(0.02)
        time.sleep(0.1 * moments.random())  # some steps, or half a checkpoint, after the first that it has saved
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.returncode == 0
    assert kills
    for name in ("weights", "ema", "optimizer"):
        ours, theirs = (load_file(folder / f"checkpoints/step_00000012/{name}.safetensors") for folder in (out, run))
        assert ours.keys() == theirs.keys()
        assert all(bool((ours[key] == theirs[key]).all()) for key in ours)


def saved(out: Path) -> set[str]:
    """The checkpoints that stand."""
    return {folder.name for folder in (out / "checkpoints").glob("step_*")}
