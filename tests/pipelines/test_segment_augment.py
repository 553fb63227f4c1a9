"""Whether drawn pairs help a segmenter: from the command to the report, on drawn pictures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.formats.masks import load_mask
from meddiff.formats.masks.meaning import read_meaning
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.pipelines import translate
from meddiff.pipelines.segment import main
from tests.pipelines.drawn_pairs import VALUES, draw_pairs

MEANING = ",".join(f"{value}={name}" for name, value in VALUES.items())
SHARED = ["--dataset", "image_folder", "--data.image_size", "16", "--data.channels", "1", "--data.mask_values", MEANING,
          "--training.batch_size", "4", "--training.warmup_steps", "1"]  # fmt: skip
STUDY = ["--baseline.channels", "[4,8]", "--training.steps", "2", "--study.sizes", "[8,0]", "--study.seeds", "2",
         "--study.arms", "[real,real_classical,real_synthetic]", "--evaluation.resamples", "100"]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("data"), 60)


@pytest.fixture(scope="module")
def painter(data) -> Path:
    out = data.parent / "painter"
    assert translate.main(["train", *SHARED, "--manifest", str(data), "--out", str(out), "--translation.known", "mask",
                           "--network.channels", "[16,16]", "--network.residual_blocks", "1",
                           "--network.head_channels", "16", "--training.steps", "1", "--inference.steps", "1",
                           f"--data.cache={data.parent}/cache"]) == 0  # fmt: skip
    return out


def study(data: Path, out: Path, pairs: Path, *words: str) -> int:
    return main(["augment", *SHARED, *STUDY, "--manifest", str(data), "--out", str(out), "--study.pairs", str(pairs),
                 f"--data.cache={data.parent}/cache", *words])  # fmt: skip


@pytest.fixture(scope="module")
def made(data, painter) -> Path:
    assert study(data, data.parent / "study", painter) == 0
    return data.parent / "study"


def test_every_arm_is_judged_on_the_same_images_and_the_report_compares_it_with_its_counterpart(made):
    cases = pd.read_csv(made / "cases.csv")
    counts = cases.groupby(["split", "model", "size", "seed"]).size()
    assert set(cases["model"]) == {"real", "real_classical", "real_synthetic"}
    assert set(cases["size"]) == {8, 42}
    assert set(counts["test"]) == {12}
    assert cases.query("model == 'real_synthetic'")["n_drawn"].tolist()[0] == 16, "two of each mask of the arm"
    assert set(cases.query("model == 'real'")["n_drawn"]) == {0}
    report = json.loads((made / "report.json").read_text())
    assert report["format"] == "meddiff pairs report"
    assert {(row["model"], row["against"]) for row in report["differences"]} == {("real_synthetic", "real")}
    assert {row["size"] for row in report["differences"]} == {8, 42}
    assert report["chosen"] == "real", "the counterpart of the only arm with drawn pairs"
    assert "drawn pairs" in report["headline"].lower()
    assert "has learned from all real training pairs" in " ".join(report["limitations"])
    assert (made / "report.html").read_text().count("<img") > 8


def test_no_drawn_pair_comes_from_a_validation_or_test_mask(made):
    rows = {row.row_id: row for row in read_manifest(made / "manifest.csv", root=made.parent)}
    drawn = read_manifest(made / "synthetic_manifest.csv", root=made)
    train = {name for name, row in rows.items() if row.split == "train"}
    assert {row.described["mask_of"] for row in drawn} == train
    assert len(drawn) == 2 * len(train)
    held = {row.group for row in rows.values() if row.split != "train"}
    assert not {row.group for row in drawn} & held
    meaning = read_meaning(made / "mask_values.json")
    for row in drawn[:8]:
        told = load_mask(rows[row.described["mask_of"]].mask_parts[0].path, meaning=meaning)
        mask = load_mask(row.mask_parts[0].path, meaning=meaning)
        assert (row.generator or "").endswith("mask=bent") != np.array_equal(mask, told), "the first is as it is"
        assert np.asarray(Image.open(row.image_file)).shape == (16, 16)


def test_a_killed_study_goes_on_with_the_next_network(made, data, painter, capsys):
    before = (made / "cases.csv").read_text()
    parts = sorted((made / "study").rglob("*.csv"))
    assert len(parts) == 12
    kept = parts[0].stat().st_mtime_ns
    parts[-1].unlink()
    (made / "cases.csv").unlink()
    shutil.rmtree(made / "synthetic")
    assert study(data, made, painter) == 0
    assert (made / "cases.csv").read_text() == before
    assert parts[0].stat().st_mtime_ns == kept


def test_pairs_of_a_manifest_join_and_those_of_held_out_masks_are_refused(made, data, tmp_path, capsys):
    rows = [replace(row, attributes=None) for row in read_manifest(made / "synthetic_manifest.csv", root=made)]
    write_manifest(rows, tmp_path / "pairs.csv", root=made)
    shutil.copytree(made / "synthetic", tmp_path / "synthetic")
    few = ["--study.sizes", "[0]", "--study.seeds", "1", "--study.arms", "[real,real_synthetic]"]
    assert study(data, tmp_path / "given", tmp_path / "pairs.csv", *few) == 0
    assert "cannot be judged on 6 patients" in json.loads((tmp_path / "given" / "report.json").read_text())["headline"]
    own = read_manifest(made / "manifest.csv", root=data.parent)
    held = next(row for row in own if row.split == "test")
    shutil.copy(held.mask_parts[0].path, tmp_path / "synthetic" / "test_mask.png")
    leak = replace(rows[0], row_id="leak", mask_path="synthetic/test_mask.png", root=tmp_path, patient_id="somebody")
    moved = [replace(row, root=tmp_path) for row in rows[1:]]
    write_manifest([leak, *moved], tmp_path / "leak.csv", root=tmp_path)
    assert study(data, tmp_path / "x", tmp_path / "leak.csv", *few) == 2
    assert "1 of the drawn pairs have the mask of a validation or test image" in capsys.readouterr().err
    write_manifest([replace(leak, patient_id=held.patient_id), *moved], tmp_path / "leak.csv", root=tmp_path)
    assert study(data, tmp_path / "y", tmp_path / "leak.csv", *few) == 2
    assert "that are validation or test here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--study.pairs", ""], "needs pairs: name a run"),
        (["--seed", "5"], "that are validation or test here"),
        (["--study.arms", "[real,real_classical]"], "name real, and an arm with drawn pairs"),
        (["--study.arms", "[real,real_synthetic,synthetic]"], "study.arms are real pairs"),
        (["--study.classical", "wild"], "unknown study.classical 'wild'"),
        (["--data.mask_values", "0=background,128=disc,255=disc,7=ignore"], "give both"),
    ],
)
def test_a_study_that_would_say_nothing_ends_in_a_sentence(words, said, data, painter, tmp_path, capsys):
    assert study(data, tmp_path / "x", painter, *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x" / "study").exists()
