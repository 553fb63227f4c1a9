"""Detectors side by side: AUROC, average precision, Dice and false alarms with intervals by patient, and differences.

Every resample weights the same patients for all detectors, so differences are paired. Pixels are pooled over the images
whose anomalies are mapped; a patient's pixels stay together.

The smallest difference that could have been found is that which 80% of such tests would show at the 5% level: 2.8
standard errors of the difference, as the resamples have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.evaluation.anomalies.choosing import Alarm
from meddiff.evaluation.anomalies.truth import Findings, Truth
from meddiff.metrics.anomaly_rates import binned, pooled_dice
from meddiff.metrics.resampling import USUAL, Resampling, rarest_class

FEW_PATIENTS = 10
"""Fewer of either kind and nothing is judged."""
DETECTABLE = 2.8
SENSITIVITY = 0.95


@dataclass(frozen=True)
class AnomalyMetric:
    """One number of a detector."""

    title: str
    best: int = 1
    """1 where larger is better, 0 where smaller is."""
    of_pixels: bool = False


METRICS = {
    "auroc": AnomalyMetric("AUROC"),
    "average_precision": AnomalyMetric("Average precision"),
    "false_alarms": AnomalyMetric("False alarms at 95% sensitivity", 0),
    "pixel_auroc": AnomalyMetric("Pixel AUROC", of_pixels=True),
    "pixel_average_precision": AnomalyMetric("Pixel average precision", of_pixels=True),
    "dice": AnomalyMetric("Dice, threshold of validation", of_pixels=True),
    "best_dice": AnomalyMetric("Dice, oracle's threshold", of_pixels=True),
}
"""Of images, then of pixels; the oracle's threshold is the best on the test images themselves, which nobody knows."""


def anomaly_scores(
    truth: Truth, findings: Mapping[str, Findings], baselines: Sequence[str], *, resampling: Resampling = USUAL
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score detectors by their names, and those that are no baselines against the best baseline on these images.

    Returns:
        One row per detector and metric (model, metric, estimate, low, high), NaN where nothing can be measured; and one
        per detector that is no baseline, and metric (model, against, metric, estimate, against_estimate, difference,
        low, high, detectable). The best baseline is that of the AUROC of images, of maps that of their average
        precision; chosen on the test images, it has an advantage.
    """
    strata = rarest_class(truth.anomalous.astype(int), truth.group, 2)
    weights = resampling.weights(strata, "anomalies")
    values = {name: _resampled(truth, own, weights) for name, own in findings.items()}
    scores = [
        {"model": model, "metric": metric, **_estimate(own, resampling)}
        for model, metrics in values.items()
        for metric, own in metrics.items()
    ]
    differences = []
    for model in [name for name in findings if name not in baselines]:
        for metric, own in values[model].items():
            by = "pixel_average_precision" if METRICS[metric].of_pixels else "auroc"
            able = {name: values[name][by][0] for name in baselines if by in values[name]}
            if not able:
                continue
            against = max(able, key=lambda name: able[name])
            other = values[against][metric]
            estimates = {"estimate": own[0], "against_estimate": other[0], "difference": own[0] - other[0]}
            low, high = resampling.interval((own - other)[1:])
            differences.append(
                {"model": model, "against": against, "metric": metric, **estimates, "low": low, "high": high,
                 "detectable": DETECTABLE * _spread((own - other)[1:])}
            )  # fmt: skip
    return pd.DataFrame(scores), pd.DataFrame(differences, columns=list(DIFFERENCES))


def calls(
    truth: Truth, findings: Mapping[str, Findings], alarms: Mapping[str, Alarm], *, resampling: Resampling = USUAL
) -> pd.DataFrame:
    """Compute how many test images of either kind lie above the threshold that healthy validation images gave.

    Returns:
        One row per detector that has one: model, threshold, rate (asked for), rate_low, rate_high (95% interval of the
        rate that such a threshold has), images (that it was fitted to), false_alarms, low, high (measured on healthy
        test images) and sensitivity.
    """
    weights = resampling.weights(rarest_class(truth.anomalous.astype(int), truth.group, 2), "alarms")
    rows = []
    for model, alarm in alarms.items():
        called = findings[model].scores > alarm.threshold
        false, true = (_share(called, own, truth.group, weights) for own in (~truth.anomalous, truth.anomalous))
        low, high = resampling.interval(false[1:])
        rows.append(
            {"model": model, "threshold": alarm.threshold, "rate": alarm.rate, "rate_low": alarm.low,
             "rate_high": alarm.high, "images": alarm.images, "false_alarms": false[0], "low": low, "high": high,
             "sensitivity": true[0]}
        )  # fmt: skip
    return pd.DataFrame(rows)


def verdict(truth: Truth, scores: pd.DataFrame, differences: pd.DataFrame, method: str) -> str:
    """Say in a sentence or two whether diffusion finds more than what answers without it."""
    counted = (
        f"{len(truth.cases)} test images of {truth.groups} patients or lesions, {int(truth.anomalous.sum())} of them "
        "anomalous"
    )
    if few := judges_nothing(truth):
        return f"Nothing can be judged on {counted}: {few}."
    said = [_compared(differences, method, name) for name in ("auroc", "pixel_average_precision")]
    return f"On {counted}: {'; '.join(one for one in said if one)}."


def _compared(differences: pd.DataFrame, method: str, metric: str) -> str:
    own = differences.loc[(differences["model"] == method) & (differences["metric"] == metric)].to_dict("records")
    if not own:
        return ""
    row, title = own[0], METRICS[metric].title
    if row["low"] > 0:
        judged = "better"
    elif row["high"] < 0:
        judged = "worse"
    else:
        judged = f"not shown to differ; {row['detectable']:.3f} could have been found"
    return (
        f"{title} of {method} {row['estimate']:.3f}, of {row['against']}, the best that answers without diffusion, "
        f"{row['against_estimate']:.3f} (difference {row['difference']:+.3f}, {row['low']:+.3f} to {row['high']:+.3f}: "
        f"{judged})"
    )


DIFFERENCES = ("model", "against", "metric", "estimate", "against_estimate", "difference", "low", "high", "detectable")


def by_kind(truth: Truth, findings: Mapping[str, Findings]) -> pd.DataFrame:
    """Compute the AUROC of each kind of anomaly against all healthy images: model, kind, n_images, auroc."""
    rows = []
    kinds = sorted({kind for kind, ill in zip(truth.kinds, truth.anomalous, strict=True) if ill})
    for model, own in findings.items():
        for kind in kinds:
            chosen = ~truth.anomalous | (np.array(truth.kinds) == kind)
            some = binned(own.scores[chosen], truth.anomalous[chosen], np.zeros(chosen.sum(), int), 1)
            auroc = some.resampled(np.ones((1, 1))).auroc()[0]
            rows.append(
                {"model": model, "kind": kind, "n_images": int((chosen & truth.anomalous).sum()), "auroc": auroc}
            )
    return pd.DataFrame(rows)


def judges_nothing(truth: Truth) -> str:
    """Say that there are too few patients to judge anything; empty where there are enough."""
    ill, well = ({one for one, own in zip(truth.patients, truth.anomalous, strict=True) if own == kind}
                 for kind in (True, False))  # fmt: skip
    if min(len(ill), len(well)) >= FEW_PATIENTS:
        return ""
    return (
        f"{len(ill)} patients with anomalous test images and {len(well)} with healthy ones judge nothing: at least "
        f"{FEW_PATIENTS} of each are needed"
    )


def _resampled(truth: Truth, own: Findings, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute each metric [R + 1] under the weightings; those of pixels where there are maps and masks."""
    values: dict[str, np.ndarray] = {}
    if truth.tells_images:
        of_images = binned(own.scores, truth.anomalous, truth.group, truth.groups).resampled(weights)
        values |= {"auroc": of_images.auroc(), "average_precision": of_images.average_precision(),
                   "false_alarms": of_images.false_alarms(SENSITIVITY)}  # fmt: skip
    if own.maps is not None and truth.tells_pixels:
        pixels, ill, group = truth.pixels(own.maps)
        of_pixels = binned(pixels, ill, group, truth.groups).resampled(weights)
        values |= {"pixel_auroc": of_pixels.auroc(), "pixel_average_precision": of_pixels.average_precision()}
        if own.threshold is not None:
            values["dice"] = pooled_dice(pixels >= own.threshold, ill, group, weights)
        values["best_dice"] = of_pixels.best_dice()
    return values


def _share(called: np.ndarray, own: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the share of the images of a kind that are called, under the weightings: [R]."""
    sums = [np.bincount(group, part.astype(float), len(weights)) @ weights for part in (called & own, own)]
    with np.errstate(invalid="ignore"):
        return sums[0] / sums[1]


def _estimate(values: np.ndarray, resampling: Resampling) -> dict[str, float]:
    low, high = resampling.interval(values[1:])
    return {"estimate": float(values[0]), "low": low, "high": high}


def _spread(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")
