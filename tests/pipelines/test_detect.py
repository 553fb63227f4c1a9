"""detect train, evaluate and predict as a user runs them: whole, twice, interrupted, and with what people have."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from contracts import complaints
from PIL import Image

from meddiff import load
from meddiff.manifest.table import write_manifest
from meddiff.pipelines import detect
from meddiff.seeds import child_seed
from meddiff.sources import phantom

RECIPE = """
dataset: phantom
data: {image_size: 32, channels: 1, train_fraction: 0.5, val_fraction: 0.2}
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 0, patch_size: 2}
training: {steps: 4, batch_size: 16, learning_rate: 2.0e-3, warmup_steps: 2, ema_decay: 0.95, augment: mirror,
           checkpoint_every: 2, log_every: 2, sample_every: 4}
baseline: {channels: [24, 48], code: 8, steps: 4}
detect: {healthy: notumor, methods: [multi_level, anoddpm], levels: [0.25], members: [1], medians: [3],
         pooling: [peak], steps: 12, false_alarms: 0.2}
evaluation: {resamples: 200}
"""
LEARNED = ["--training.steps", "240", "--training.checkpoint_every", "240", "--training.warmup_steps", "20"]


def command(workplace, verb, *words):
    recipe = workplace / "recipe.yaml"
    recipe.write_text(RECIPE)
    place = ["--config", recipe, "--data-root", workplace / "data", f"--data.cache={workplace / 'cache'}"]
    return detect.main([verb, *map(str, [*place, *words])])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detect")
    phantom.write(phantom.rows("brain_mri", seed=0, count=120), folder / "data", size=32)
    return folder


@pytest.fixture(scope="module")
def run(workplace):
    """A finished run on phantoms."""
    out = workplace / "run"
    assert command(workplace, "evaluate", "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def report(run):
    return json.loads((run / "report.json").read_text())


def estimates(report, metric):
    return {row["model"]: row for row in report["scores"] if row["metric"] == metric}


def t1(row):
    """Tells whether a drawn head is shown as T1 with contrast agent, the first thing that its seed decides."""
    return np.random.default_rng(child_seed(0, "phantom", row.patient_id)).random() < 0.72


def test_drawn_lesions_are_found_and_mapped_beyond_chance(tmp_path):
    """Fifteen seconds of training on the healthy heads of one sequence, and lesions of known place."""
    rows = [row for row in phantom.rows("brain_mri", seed=0, count=500) if t1(row)]
    rows = phantom.write(rows[:330], tmp_path / "data", size=32)
    write_manifest(rows, tmp_path / "data" / "manifest.csv")
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("dataset: phantom", "dataset: lgg"))
    words = ["--config", tmp_path / "recipe.yaml", "--manifest", tmp_path / "data" / "manifest.csv", "--out",
             tmp_path / "run", f"--data.cache={tmp_path / 'cache'}", *LEARNED]  # fmt: skip
    assert detect.main(["evaluate", *map(str, words)]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert estimates(report, "auroc")["multi_level"]["low"] > 0.65, "chance is 0.5"
    assert estimates(report, "pixel_auroc")["multi_level"]["low"] > 0.75
    assert estimates(report, "best_dice")["multi_level"]["low"] > 0.2, "calling every pixel has 0.04"
    called = {row["model"]: row for row in report["alarms"]}["multi_level"]
    assert called["sensitivity"] > called["false_alarms"]


def test_every_detector_is_in_the_table_beside_what_it_took(report, run):
    models = {"multi_level", "anoddpm", "autoencoder", "intensity", "mean_distance", "z_score", "features"}
    assert set(estimates(report, "auroc")) == models
    assert set(estimates(report, "pixel_auroc")) == models - {"features"}
    assert complaints(report) == [], "the report keeps to its schema"
    assert report["headline"].startswith(("On ", "Nothing can be judged on "))
    assert {row["model"] for row in report["networks"]} == {"diffusion", "autoencoder"}
    assert all(row["weights"] > 1000 and row["training_seconds"] > 0 for row in report["networks"])
    cases = pd.read_csv(run / "cases.csv")
    assert set(cases["case"]) == set(pd.read_csv(run / "manifest.csv").query("split == 'test'")["row_id"])


def test_nothing_anomalous_was_learned_and_no_patient_is_cut(run):
    manifest = pd.read_csv(run / "manifest.csv")
    assert set(manifest.loc[manifest["split"] == "train", "label"]) == {"healthy"}
    assert (manifest.groupby("patient_id")["split"].nunique() == 1).all()


def test_the_command_again_does_nothing_and_the_looks_stand(run, workplace, capsys):
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    assert command(workplace, "evaluate", "--out", run) == 0
    assert "5/5 report: done before, skipped" in capsys.readouterr().out
    assert before == {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    assert {file.name for file in (run / "samples").iterdir()} == {
        f"{name}_step_{step:08d}.png" for name in ("diffusion", "autoencoder") for step in (4,)
    }


def test_predict_writes_maps_on_their_own_grids(run, workplace, capsys):
    inputs = workplace / "inputs"
    inputs.mkdir()
    manifest = pd.read_csv(run / "manifest.csv").query("split == 'test'")
    for row in manifest.groupby("label").head(1).to_dict("records"):
        picture = Image.open(workplace / "data" / row["image_path"]).convert("L")
        picture.resize((50, 40)).save(inputs / f"{row['label']}.png")
    slices = np.stack([np.asarray(Image.open(file).convert("L")) for file in sorted(inputs.glob("*.png"))], axis=2)
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(slices.astype(np.int16), affine), inputs / "volume.nii.gz")
    (inputs / "broken.png").write_bytes(b"no picture")
    out = workplace / "maps"
    words = ["predict", "--checkpoint", str(run), "--input", str(inputs), "--output", str(out), "--save_healthy"]
    assert detect.main(words) == 0
    table = pd.read_csv(out / "anomalies.csv").set_index("name")
    assert np.asarray(Image.open(out / "healthy_map.png")).shape == (40, 50)
    volume = nibabel.load(out / "volume_map.nii.gz")
    assert volume.shape == slices.shape
    assert np.allclose(volume.affine, affine)
    assert table.loc["volume", "slices"] == 4
    assert table.loc["broken", "problem"]
    good = table.drop(index="broken")
    assert set(good["anomalous"]) <= {"yes", "no"}
    assert ((good["score"] > good["threshold"]) == (good["anomalous"] == "yes")).all()
    assert "of healthy images are too (95% interval" in " ".join(capsys.readouterr().out.split())
    before = (out / "healthy_map.png").stat().st_mtime_ns
    assert detect.main(words) == 0
    assert before == (out / "healthy_map.png").stat().st_mtime_ns
    answer = load(run)(str(inputs / "healthy.png"))
    assert answer.score == pytest.approx(table.loc["healthy", "score"], rel=1e-3)
    assert answer.map.shape == (40, 50)


@pytest.mark.parametrize("model", ["anoddpm", "autoencoder", "z_score"])
def test_other_detectors_of_the_run_answer_too(run, workplace, model):
    picture = next((workplace / "data").rglob("*00001.png"))
    answer = load(run, model=model)(str(picture))
    assert np.isfinite(answer.map).all()
    assert answer.called in (True, False)


def test_a_killed_run_ends_with_the_same_weights(run, workplace):
    """The last checkpoint and all that followed are gone: training goes on from the one before."""
    again = Path(shutil.copytree(run, workplace / "again"))
    for name in ("diffusion", "autoencoder"):
        newest = max((again / "models" / name / "checkpoints").iterdir())
        shutil.rmtree(newest)
    (again / "stages.json").unlink()
    assert command(workplace, "evaluate", "--out", again) == 0
    for file in [*run.rglob("*.safetensors"), run / "cases.csv", run / "scores.csv"]:
        assert file.read_bytes() == (again / file.relative_to(run)).read_bytes(), file.name


def test_labels_are_learned_where_it_is_asked_for_and_guide(workplace):
    out = workplace / "labels"
    words = ["--detect.learns", "labels", "--detect.methods", "[counterfactual,ddim_encoding]",
             "--detect.noise", "simplex", "--detect.steps", "4"]  # fmt: skip
    assert command(workplace, "evaluate", "--out", out, *words) == 0
    manifest = pd.read_csv(out / "manifest.csv")
    assert "glioma" in set(manifest.loc[manifest["split"] == "train", "label"])
    report = json.loads((out / "report.json").read_text())
    assert report["counts"]["learned"] == "all images, told their labels"
    assert complaints(report) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--detect.methods", "[counterfactual]"], "add --detect.learns labels, or leave it out of detect.methods"),
        (
            ["--detect.methods", "[gan]"],
            "name at least one of anoddpm, ddim_encoding, counterfactual, multi_level, each once",
        ),
        (["--detect.levels", "[0]"], "give shares of the noise levels, such as [0.25,0.5]"),
        (["--detect.medians", "[2]"], "give odd numbers of pixels, such as [1,3,5]"),
        (["--detect.members", "[0]"], "give numbers of 1 or more, such as [1,4]"),
        (["--detect.pooling", "[max]"], "give mean, peak, or both"),
        (["--data.slice_axis", "axial"], "leave out data.slice_axis and list the slices"),
        (["--detect.healthy", "nobody"], "no image has the label 'nobody'"),
        (["--diffusion.self_condition", "true"], "detection uses neither a learned variance nor"),
        (["--diffusion.teacher", "a"], "learns from images alone: leave out diffusion.teacher"),
    ],
)
def test_mistakes_end_in_a_sentence(workplace, capsys, words, sentence):
    assert command(workplace, "train", "--out", workplace / "refused", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (workplace / "refused").exists()


def test_predict_wants_a_run_that_detects(workplace, run, capsys):
    words = ["--input", str(workplace / "data"), "--output", str(workplace / "nothing")]
    assert detect.main(["predict", "--checkpoint", str(workplace / "data"), *words]) == 2
    assert "`detect train` or `detect evaluate`" in capsys.readouterr().err
    assert detect.main(["predict", "--checkpoint", str(run), "--model", "gan", *words]) == 2
    assert "unknown detector 'gan': use one of multi_level, anoddpm" in capsys.readouterr().err
