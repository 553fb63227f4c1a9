"""Classical tests of each arm against one other, beside the bootstrap's intervals of the same differences.

DeLong's test for AUROC (each class, and their macro average) and McNemar's exact test for accuracy, both of the mean
over the seeds and by patient (`meddiff.metrics.classifiers.comparison`). They ask whether *these* classifiers differ
on other patients; the intervals of `meddiff.evaluation.paired_differences` also ask about other trainings and are the
wider ones where seeds differ. p-values are adjusted after Holm 1979 over the rows above the classes, and apart from
them over the rows by class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from meddiff.evaluation.classifiers.metrics import ACCURACY, AUROC, MACRO_AUROC
from meddiff.evaluation.classifiers.study import Study
from meddiff.evaluation.rows import numbers
from meddiff.metrics.classifiers.comparison import AurocComparison, delong, delong_macro, holm, mcnemar

DELONG, MCNEMAR = "DeLong", "McNemar, exact"
COLUMNS = (
    *("arm", "reference", "metric", "class_name", "test", "estimate", "reference_estimate", "difference"),
    *("p_value", "p_holm", "n_images", "n_groups", "n_seeds"),
)
"""Columns of `paired_tests`, also where there is nothing to compare."""
FEWEST = 2  # patients of a class, and of the rest


def paired_tests(study: Study, *, reference: str) -> pd.DataFrame:
    """Compute one row per arm but ``reference`` and test: the columns of COLUMNS.

    `difference` is the arm minus the reference.

    A class of which (or of the rest of which) fewer than two patients have an image is not tested, and where there is
    such a class, neither is the macro average.
    """
    records = [row for arm in study.arms if arm != reference for row in _of_arm(study, arm, reference)]
    return with_holm(pd.DataFrame(records, columns=list(COLUMNS)))


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Compute the table with `p_holm` over its rows above the classes, and apart from them over its rows by class."""
    overall = np.asarray(table["class_name"] == "", bool)
    adjusted = np.full(len(table), np.nan)
    for family in (overall, ~overall):
        adjusted[family] = holm(numbers(table, "p_value")[family])
    return table.assign(p_holm=adjusted)


def _of_arm(study: Study, arm: str, reference: str) -> Iterator[dict[str, Any]]:
    ours, theirs = (study.probabilities[study.arms.index(name)] for name in (arm, reference))  # [S, N, K]
    known: dict[str, Any] = {"arm": arm, "reference": reference, "n_seeds": len(study.seeds)}
    tested = [k for k, name in enumerate(study.class_names) if _testable(study, name)]
    right = [part.argmax(-1) == study.labels for part in (ours, theirs)]
    counts = dict(zip(("n_images", "n_groups"), study.counts(""), strict=True))
    estimates = [float(part.mean()) for part in right]
    yield known | counts | {
        "metric": ACCURACY, "class_name": "", "test": MCNEMAR, "estimate": estimates[0],
        "reference_estimate": estimates[1], "difference": estimates[0] - estimates[1],
        "p_value": mcnemar(right[1], right[0], study.group),
    }  # fmt: skip
    if len(tested) == len([name for name in study.class_names if study.counts(name)[0]]):
        macro = delong_macro(study.labels, theirs, ours, study.group)
        yield known | counts | _compared(MACRO_AUROC, "", macro)
    for k in tested:
        name = study.class_names[k]
        counts = dict(zip(("n_images", "n_groups"), study.counts(name), strict=True))
        macro = delong(study.labels == k, theirs[..., k], ours[..., k], study.group)
        yield known | counts | _compared(AUROC, name, macro)


def _compared(metric: str, class_name: str, found: AurocComparison) -> dict[str, Any]:
    return {"metric": metric, "class_name": class_name, "test": DELONG, "estimate": found.second,
            "reference_estimate": found.first, "difference": found.difference, "p_value": found.p_value}  # fmt: skip


def _testable(study: Study, class_name: str) -> bool:
    own = study.labels == study.class_names.index(class_name)
    return min(len(np.unique(study.group[part])) for part in (own, ~own)) >= FEWEST
