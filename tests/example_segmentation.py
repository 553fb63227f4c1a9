"""A made-up comparison of segmentations: drawn lesions, three models of known faults, a hostile class name."""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from example_report import lesion

from meddiff.ensemble.fusion import mean
from meddiff.ensemble.uncertainty_maps import case_uncertainty, standard_deviation
from meddiff.evaluation import case_scores, failed_case_scores, reliability_of
from meddiff.metrics.resampling import Resampling
from meddiff.reports.galleries import GalleryCase

HOSTILE = '<script>document.title = "owned"</script>'
NAMES = ("background", "lesion", HOSTILE)
MODELS = {"U-Net": (1, 0.9), "SegResNet": (1, 1.1), "Diffusion, 7 members": (7, 0.75)}
SIZE = 48


@lru_cache
def _drawn(count: int = 60) -> dict[str, Any]:
    """Cases and bins of all models; the truth of every tenth case is empty, and one prediction is missing."""
    generator = np.random.default_rng(0)
    grid = np.indices((SIZE, SIZE))
    rows, bins, shown = [], {}, []
    for number in range(count):
        center, radius = generator.uniform(18, 30, size=2), generator.uniform(4, 12)
        truth = _classes(grid, center, 0 if number % 10 == 9 else radius)
        difficulty = generator.gamma(1.5, 1.4)
        for model, (members, error) in MODELS.items():
            settings = {"class_names": NAMES, "spacing_mm": None}
            about = {"model": model, "case": f"case {number:03d}", "patient": f"patient {number // 2:02d}"}
            if (model, number) == ("SegResNet", 7):
                failed = failed_case_scores(truth, failure="no prediction", **settings)
                rows += [about | entry | {"uncertainty": 1.0} for entry in failed]
                continue
            shift = generator.normal(0, 0.6 * error * difficulty, size=2)
            drawn = [
                _probabilities(grid, center + shift + generator.normal(0, 0.5 * difficulty, size=2),
                               radius + generator.normal(0, 0.7 * error) - 9 * (number % 10 == 9), sharp=2.2 * error)
                for _ in range(members)
            ]  # fmt: skip
            fused = mean(np.stack(drawn))
            unsure = case_uncertainty(np.stack(drawn), fused, "expected_dice" if members == 1 else "pairwise")
            scores = case_scores(truth, fused.argmax(0), **settings)
            rows += [about | entry | {"uncertainty": unsure} for entry in scores]
            found = reliability_of(truth, fused)
            bins[model] = bins[model] + found if model in bins else found
            if members > 1:
                dice = float(np.mean([entry["dice"] for entry in scores]))
                spread = standard_deviation(np.stack(drawn))
                image = lesion(number, SIZE)
                shown.append((dice, unsure, about["case"], image, truth, fused.argmax(0), spread))
    return {"rows": rows, "bins": bins, "shown": shown}


def example_cases() -> pd.DataFrame:
    return pd.DataFrame(_drawn()["rows"])


def example_calibration() -> pd.DataFrame:
    return pd.concat([bins.to_frame(model, NAMES) for model, bins in _drawn()["bins"].items()], ignore_index=True)


def example_gallery() -> list[GalleryCase]:
    shown = _drawn()["shown"]
    groups = {"Lowest Dice": sorted(shown, key=lambda case: case[0])[:3],
              "Most uncertain": sorted(shown, key=lambda case: -case[1])[:2]}  # fmt: skip
    return [
        GalleryCase(name, f"Dice {dice:.3f}, uncertainty {unsure:.3f}", image, truth, prediction, spread, group)
        for group, cases in groups.items()
        for dice, unsure, name, image, truth, prediction, spread in cases
    ]


def example_content() -> dict[str, Any]:
    """The arguments of meddiff.reports.masks.mask_results."""
    return {
        "title": "Drawn lesions, test split", "cases": example_cases(), "calibration": example_calibration(),
        "gallery": example_gallery(), "baselines": ("U-Net", "SegResNet"), "phantom": True,
        "resampling": Resampling(300),
        "methods": [("Members were drawn with DDIM in 5 steps and averaged", ("song2021",))],
        "provenance": {"recipe": {"network": "unet", "steps": 2000, "seed": 7}, "data": {"sha256": "0" * 64}},
    }  # fmt: skip


def _classes(grid: np.ndarray, center: np.ndarray, radius: float) -> np.ndarray:
    """A lesion with a core of another class in its middle."""
    distance = np.sqrt(((grid - center[:, None, None]) ** 2).sum(0))
    return (distance < radius).astype(int) + (distance < radius / 2.5)


def _probabilities(grid: np.ndarray, center: np.ndarray, radius: float, *, sharp: float) -> np.ndarray:
    distance = np.sqrt(((grid - center[:, None, None]) ** 2).sum(0))
    inside, core = (1 / (1 + np.exp(np.clip(sharp * (distance - r), -50, 50))) for r in (radius, radius / 2.5))
    return np.stack([1 - inside, inside * (1 - core), inside * core])
