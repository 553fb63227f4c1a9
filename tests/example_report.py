"""A made-up augmentation study for the tests of the report: plausible numbers, drawn pictures, a hostile class name."""

import dataclasses

import numpy as np
import pandas as pd

from meddiff.jobs.generate.report import alternatives, arm_names
from meddiff.recipe import Recipe, differences, to_dict
from meddiff.reports.galleries import NearestPair
from meddiff.reports.results import Gallery, StudyResults

HOSTILE = '<script>document.title = "owned"</script>'
ARMS = ("real", "real_balanced", "real_classical", "real_synthetic", "synthetic")
ARM_NAMES = arm_names((*ARMS, "ratio_1", "ratio_5"))
CLASSES = {"nevus": 412, "melanoma": 96, "basal cell carcinoma": 41, HOSTILE: 18}


def lesion(seed: int, size: int = 64, blur: float = 0.1) -> np.ndarray:
    """A brown blob on skin, uint8 [size, size, 3]."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle, stretch = np.arctan2(y, x), generator.uniform(0.7, 1.3)
    radius = 0.5 + 0.1 * np.cos(generator.integers(2, 6) * angle + generator.uniform(0, 6))
    inside = 1 / (1 + np.exp((np.hypot(x * stretch, y / stretch) - radius) / blur))
    skin, pigment = generator.uniform((190, 140, 110), (235, 195, 175)), generator.uniform((50, 25, 15), (130, 80, 60))
    noise = generator.normal(0, 5, (size, size, 1))
    picture = skin + (pigment - skin) * inside[..., None] * generator.uniform(0.8, 1.0) + noise
    return picture.clip(0, 255).astype(np.uint8)


def _scores(generator: np.random.Generator) -> pd.DataFrame:
    rows = []
    for arm, level in zip(ARMS, (0.612, 0.655, 0.683, 0.706, 0.548), strict=True):
        common = {"arm": arm, "n_groups": 121, "n_seeds": 3}
        for metric, shift in (("balanced_accuracy", 0.0), ("macro_auroc", 0.17), ("macro_auprc", -0.05)):
            value = level + shift
            rows.append(common | {"metric": metric, "class_name": "", "estimate": value, "n_images": 162}
                        | {"low": value - 0.045, "high": value + 0.041})  # fmt: skip
        for name, count in CLASSES.items():
            value = float(np.clip(generator.normal(level, 0.12), 0.02, 0.98))
            half = 1.0 / np.sqrt(count)
            rows.append(common | {"metric": "sensitivity", "class_name": name, "estimate": value}
                        | {"low": max(0.0, value - half), "high": min(1.0, value + half)}
                        | {"n_images": max(4, count // 5)})  # fmt: skip
    rows[-1] |= {"estimate": np.nan, "low": np.nan, "high": np.nan}
    return pd.DataFrame(rows)


def _differences() -> pd.DataFrame:
    changes = {"real": -0.071, "real_balanced": -0.028, "real_synthetic": 0.023, "synthetic": -0.135}
    rows = [
        {"arm": arm, "reference": "real_classical", "metric": metric, "difference": change * scale,
         "low": change * scale - 0.034, "high": change * scale + 0.031, "p_value": 0.2031}
        for metric, scale in (("balanced_accuracy", 1.0), ("macro_auroc", 0.6)) for arm, change in changes.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _tests() -> pd.DataFrame:
    known = {"reference": "real_classical", "n_images": 162, "n_groups": 121, "n_seeds": 3}
    return pd.DataFrame([
        known | {"arm": arm, "metric": metric, "class_name": name, "test": test, "estimate": 0.7,
                 "reference_estimate": 0.68, "difference": 0.02, "p_value": 0.0004, "p_holm": 0.0032}
        for arm in ARMS if arm != "real_classical"
        for metric, name, test in (("accuracy", "", "McNemar, exact"), ("auroc", HOSTILE, "DeLong"))
    ])  # fmt: skip


def _subgroups() -> pd.DataFrame:
    groups = (("sex", "female", 70, ""), ("sex", HOSTILE, 92, ""), ("skin_tone", "dark", 9, "only 9 images"))
    return pd.DataFrame([
        {"attribute": attribute, "subgroup": group, "arm": arm, "reference": "real_classical", "metric": metric,
         "estimate": 0.66, "low": 0.51, "high": 0.79, "difference": 0.01, "difference_low": -0.08,
         "difference_high": 0.09, "n_images": count, "n_groups": count // 2, "n_seeds": 3, "warning": warning}
        for attribute, group, count, warning in groups for arm in ARMS for metric in ("balanced_accuracy", "accuracy")
    ])  # fmt: skip


def _curve() -> pd.DataFrame:
    points = (("real", 0.0, 0.0), ("ratio_1", 1.0, 1.0), ("ratio_5", 5.0, 3.4))
    return pd.DataFrame([
        {"ratio": ratio, "ratio_reached": reached, "n_real": 396, "n_synthetic": round(396 * reached), "arm": arm,
         "metric": metric, "estimate": 0.61 + 0.02 * reached, "low": 0.57, "high": 0.72, "difference": 0.02 * reached,
         "difference_low": -0.02, "difference_high": 0.09}
        for arm, ratio, reached in points for metric in ("balanced_accuracy", "macro_auroc", "brier_score")
    ])  # fmt: skip


def _arms() -> pd.DataFrame:
    drawn = (0, 0, 0, 1204, 1640)
    return pd.DataFrame({"arm": ARMS, "ratio": np.nan, "n_real": [396] * 4 + [0], "n_synthetic": drawn})


def _distances() -> pd.DataFrame:
    warning = "n = 162 images are fewer than the 512 feature dimensions: the Frechet distance is far too high."
    sets = (("synthetic, test", 31.62, 0.0121), ("real training, test", 18.40, 0.0004), ("untrained, test", 212.0, 0.4))
    return pd.DataFrame([
        {"features": "classifier", "comparison": comparison, "metric": metric, "value": value, "low": value * 0.9,
         "high": value * 1.12, "n_real": 162, "n_synthetic": 1200, "dimension": 512, "warning": text}
        for comparison, frechet, kernel in sets
        for metric, value, text in (("frechet_distance", frechet, warning), ("kernel_distance", kernel, ""))
    ])  # fmt: skip


def _log() -> pd.DataFrame:
    generator = np.random.default_rng(5)
    step = np.arange(50, 5001, 50)
    loss = 0.06 + 0.9 * np.exp(-step / 300) + 0.25 * np.exp(-step / 2000)
    speed = generator.normal(312, 9, len(step))
    return pd.DataFrame({"step": step, "loss": loss * np.exp(generator.normal(0, 0.1, len(step))),
                         "images_per_second": speed})  # fmt: skip


def _pairs(count: int, start: int, prefix: str) -> list[NearestPair]:
    return [
        NearestPair(lesion(start + i, blur=0.06), lesion(start + i), 1.75 + 0.31 * i, f"{prefix}_{start + i:06d}",
                    f"ISIC_00{24306 + 7 * i}")
        for i in range(count)
    ]  # fmt: skip


def example_findings() -> pd.DataFrame:
    """One serious thing about three files, one of which has a hostile name, and a note."""
    return pd.DataFrame([
        {"severity": "serious", "kind": "copies across splits", "sentence": f"3 images are copies, as {HOSTILE}",
         "n_files": 3, "files": f"a.png, b.png, {HOSTILE}"},
        {"severity": "note", "kind": "copies kept together", "sentence": "2 images are copies", "n_files": 2,
         "files": "c.png, d.png"},
    ])  # fmt: skip


def example_report(phantom: bool = True) -> StudyResults:
    """The whole study; with `phantom` False the same numbers pass for a real data set."""
    recipe = Recipe(dataset="isic", preset="quick")
    galleries = [
        Gallery(name, [lesion(100 * i + k) for k in range(6)], [lesion(100 * i + k + 50, blur=0.2) for k in range(6)])
        for i, name in enumerate(CLASSES)
    ]
    galleries.append(Gallery("MRI slice, small", [lesion(7, 32)[..., 0]] * 3, [lesion(8, 32)[..., 0]] * 3))
    galleries.append(Gallery("MRI slice, large", [lesion(7, 300)[..., 0]] * 2, []))
    data = pd.DataFrame([
        {"class_name": name, "train": int(0.7 * n), "val": n // 10, "test": n // 5, "patients": n // 2}
        for name, n in CLASSES.items()
    ])  # fmt: skip
    counts = pd.DataFrame([
        {"class_name": name, "drawn": 480, "kept": 480 - 40 * i - 12 * i, "dropped_confidence": 40 * i,
         "dropped_copy": 12 * i}
        for i, name in enumerate(CLASSES)
    ])  # fmt: skip
    stages = pd.DataFrame({"stage": ["manifest", "train", "synthesize", "filter", "classify"],
                           "seconds": [1.26, 4312.0, 187.0, 22.4, 608.0],
                           "peak_memory_mib": [312.0, 11230.0, 6210.0, 2110.0, 3990.0]})  # fmt: skip
    copies = pd.DataFrame({"set": ["synthetic", "held-out real"], "n": [1200, 162],
                           "share_below_threshold": [0.0142, 0.01], "median_distance": [5.12, 4.87]})  # fmt: skip
    return StudyResults(
        title="Does it help to add synthetic images? isic, quick preset",
        headline="Synthetic images did not measurably help: balanced accuracy changed by +0.023 [\u22120.011, +0.054] "
        "against the best arm without them (real, classical augmentation).",
        phantom=phantom,
        data=data,
        split_note="567 images of 283 patients were split by patient into train, val and test (70 / 10 / 20%), "
        "stratified by class; no patient and no lesion is in two splits.",
        findings=example_findings(),
        skipped=pd.DataFrame({"file": ["HAM10000_images_part_1/ISIC_0024306.jpg"], "reason": ["the file is empty"]}),
        scores=_scores(np.random.default_rng(3)),
        differences=_differences(),
        tests=_tests(),
        subgroups=_subgroups(),
        curve=_curve(),
        arms=_arms(),
        arm_names=ARM_NAMES,
        alternatives=alternatives(recipe),
        distances=_distances(),
        galleries=galleries,
        nearest=_pairs(4, 900, "seed"),
        held_out_nearest=_pairs(4, 950, "ISIC"),
        copies=copies,
        filter_counts=counts,
        log=_log(),
        stages=stages,
        environment={"python": "3.11.9", "torch": "2.13.0", "gpu": None, "processor": "2 cores"},
        recipe=to_dict(recipe),
        recipe_differences=differences(recipe, Recipe()),
    )


def empty_report() -> StudyResults:
    """A study in which nothing was measured."""
    nothing = {field.name: pd.DataFrame() for field in dataclasses.fields(StudyResults)
               if field.type == "pd.DataFrame"}  # fmt: skip
    return StudyResults(title="Empty", headline="Nothing was measured.", phantom=False, split_note="",
                              galleries=[], nearest=[], held_out_nearest=[], environment={}, recipe={},
                              recipe_differences={}, group_noun="patient", provenance={}, **nothing)  # fmt: skip
