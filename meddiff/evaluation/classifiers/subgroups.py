"""Scores by sex, age band, body site, data set and estimated skin tone: for whom does it work, whom does it help?

An average over all test patients hides a group that is served worse. Each table row is one group: its own patients are
resampled, so small groups have wide intervals, and under 30 images a warning. Classes differ in how often they occur
in groups, and the averages over classes are over those that a group has: a warning names what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.intervals import counted, interval, score_interval, warning
from meddiff.evaluation.classifiers.metrics import ACCURACY, BALANCED_ACCURACY, CALIBRATION_ERROR, MACRO_AUROC, METRICS
from meddiff.evaluation.classifiers.study import Study, over_seeds, resampled_scores
from meddiff.evaluation.rows import texts
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.images import skin_tone
from meddiff.metrics.resampling import USUAL, Resampling

SCORED = (BALANCED_ACCURACY, ACCURACY, MACRO_AUROC, CALIBRATION_ERROR)
AGE_BANDS = {"under 30": 30, "30 to 44": 45, "45 to 59": 60, "60 to 74": 75, "75 and over": np.inf}
"""Name -> the age in years that it is below."""
UNKNOWN = "not stated"
FEW_IMAGES = 30
COLUMNS = (
    *("attribute", "subgroup", "arm", "reference", "metric", "estimate", "low", "high"),
    *("difference", "difference_low", "difference_high", "n_images", "n_groups", "n_seeds", "warning"),
)


def attributes_of(rows: Sequence[ManifestRow], angles: Mapping[str, float] | None = None) -> pd.DataFrame:
    """List what is known of each image: row_id, sex, age_band, site, dataset, skin_tone; `UNKNOWN` for what is not.

    ``angles`` are the typology angles of photographs in degrees, by row_id.
    """
    return pd.DataFrame(
        {
            "row_id": row.row_id,
            "sex": row.sex or UNKNOWN,
            "age_band": age_band(row.age_years),
            "site": row.site or UNKNOWN,
            "dataset": row.dataset,
            "skin_tone": skin_tone.band((angles or {}).get(row.row_id, np.nan)) or UNKNOWN,
        }
        for row in rows
    )


def age_band(age_years: float | None) -> str:
    """Compute the name of an age in AGE_BANDS."""
    return UNKNOWN if age_years is None else next(name for name, below in AGE_BANDS.items() if age_years < below)


def subgroup_scores(
    study: Study,
    attributes: pd.DataFrame,
    *,
    reference: str,
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """Compute scores of every arm in every group, and the difference to ``reference`` there, each with an interval.

    ``attributes`` has a row per test image, from `attributes_of`. An attribute that is the same for all images is left
    out. Returns the columns of COLUMNS; `difference` is empty for the reference itself. Raises InputError for test
    images that are not in the table.
    """
    known = attributes.set_index(texts(attributes, "row_id"))
    missing = sorted(set(study.row_ids) - set(known.index))
    if missing:
        raise InputError(
            f"nothing is known of {counted(len(missing), 'test image')}, such as {missing[0]}: give the manifest that "
            "they were predicted from"
        )
    known = known.loc[list(study.row_ids)]
    records = []
    for attribute in [name for name in known.columns if name != "row_id"]:
        values = texts(known, attribute)
        for value in _in_order(values) if len(set(values)) > 1 else ():
            about = {"attribute": attribute, "subgroup": value, "reference": reference}
            part = study.of(values == value)
            scored = resampled_scores(part, metrics=SCORED, resampling=resampling)
            records += [about | row for row in _rows(part, scored, reference, resampling)]
    return pd.DataFrame(records, columns=list(COLUMNS))


def _in_order(values: np.ndarray) -> list[str]:
    """Compute bands from low to high, other names by the alphabet, the unknown last."""
    order = [*AGE_BANDS, *skin_tone.BANDS]
    return sorted(set(values), key=lambda value: (value == UNKNOWN, order.index(value) if value in order else 0, value))


def _rows(part: Study, scored: np.ndarray, reference: str, resampling: Resampling) -> Iterator[dict[str, Any]]:
    """Return one row per arm and metric of one group: ``scored`` [A, S, R + 1, M]."""
    images, groups = part.counts("")
    few = [f"only {counted(images, 'image')}"] if images < FEW_IMAGES else []
    r = part.arms.index(reference)
    for a, arm in enumerate(part.arms):
        means, differences = over_seeds(scored[a], resampling), over_seeds(scored[a] - scored[r], resampling)
        for m, metric in enumerate(SCORED):
            low, high = score_interval(part, metric, "", means[:, m], resampling)
            gap = np.clip(interval(METRICS[metric], differences[:, m], resampling), -1, 1)
            gap_of_arm = (differences[0, m], *gap) if a != r else (np.nan,) * 3
            notes = [*few, warning(part, metric, "", low, high)]
            yield {
                "arm": arm, "metric": metric, "estimate": means[0, m], "low": low, "high": high,
                "difference": gap_of_arm[0], "difference_low": gap_of_arm[1], "difference_high": gap_of_arm[2],
                "n_images": images, "n_groups": groups, "n_seeds": len(part.seeds),
                "warning": "; ".join(note for note in notes if note),
            }  # fmt: skip
