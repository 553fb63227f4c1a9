"""The scores of classifiers of a study, each computed for all resamples of the patients at once.

Higher is better unless a metric says otherwise. AUPRC, the averages called weighted, accuracy and the calibration
scores depend on how frequent each class is among the test images: they compare arms of one study, not studies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from meddiff.metrics.classifiers import calibration, discrimination, operating_point
from meddiff.metrics.classifiers.discrimination import mean_of_present


@dataclass(frozen=True)
class Judged:
    """The predictions of one classifier on the test images, under R weightings of the patients."""

    labels: np.ndarray
    """[N] int, index of the class."""
    probabilities: np.ndarray
    """[N, K]."""
    group: np.ndarray
    """[N] int in 0..G-1: the patient."""
    weights: np.ndarray
    """[G, R]."""
    validation: tuple[np.ndarray, np.ndarray] | None = None
    """Labels [V] and the same classifier's probabilities [V, K] of images by which thresholds are chosen."""

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Arguments of the functions of meddiff.metrics."""
        return self.labels, self.probabilities, self.group, self.weights

    @cached_property
    def sensitivity(self) -> np.ndarray:
        """[R, K]."""
        return discrimination.resampled_sensitivity(*self.arrays)

    @cached_property
    def auroc(self) -> np.ndarray:
        """[R, K]."""
        return discrimination.resampled_auroc(*self.arrays)

    @cached_property
    def auprc(self) -> np.ndarray:
        """[R, K]."""
        return discrimination.resampled_auprc(*self.arrays)

    @cached_property
    def counts(self) -> np.ndarray:
        """Images of each class [R, K]."""
        return discrimination.resampled_counts(*self.arrays)

    @cached_property
    def at_90_specificity(self) -> tuple[np.ndarray, np.ndarray]:
        """Sensitivity and specificity, each [R, K]."""
        return self._rates_at(0.9)

    @cached_property
    def at_95_specificity(self) -> tuple[np.ndarray, np.ndarray]:
        """Sensitivity and specificity, each [R, K]."""
        return self._rates_at(0.95)

    def _rates_at(self, specificity: float) -> tuple[np.ndarray, np.ndarray]:
        """Compute rates at the validation images' threshold, or at a point of the test ROC curve."""
        if self.validation is None:
            sensitivity = operating_point.resampled_sensitivity_at(specificity, *self.arrays)
            return sensitivity, np.where(np.isnan(sensitivity), np.nan, specificity)
        thresholds = operating_point.thresholds_at(specificity, *self.validation)
        return operating_point.resampled_rates(*self.arrays, thresholds)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Compute the mean over the images of one number each: [N] -> [R]."""
        return discrimination.resampled_mean(values, self.group, self.weights)


@dataclass(frozen=True)
class Metric:
    """One score."""

    values: Callable[[Judged], np.ndarray]
    """-> [R], or [R, K] if per class."""
    per_class: bool = False
    best: float = 1.0
    """What a perfect classifier has: 1, or 0 where lower is better."""
    largest: float = 1.0
    """The smallest is 0."""
    share_of_class: bool = False
    """Whether it is the share of a class's images that something holds for."""
    at_threshold: bool = False
    """Whether it needs validation images to choose a threshold by."""
    biased: bool = False
    """Whether the estimate from few images lies above the truth, as every resample then does once more."""


BALANCED_ACCURACY, ACCURACY, SENSITIVITY = "balanced_accuracy", "accuracy", "sensitivity"
MACRO_AUROC, AUROC, CALIBRATION_ERROR = "macro_auroc", "auroc", "expected_calibration_error"
METRICS: dict[str, Metric] = {
    BALANCED_ACCURACY: Metric(lambda judged: mean_of_present(judged.sensitivity)),
    ACCURACY: Metric(lambda judged: discrimination.resampled_accuracy(*judged.arrays)),
    MACRO_AUROC: Metric(lambda judged: mean_of_present(judged.auroc)),
    "weighted_auroc": Metric(lambda judged: mean_of_present(judged.auroc, judged.counts)),
    "macro_auprc": Metric(lambda judged: mean_of_present(judged.auprc)),
    "weighted_auprc": Metric(lambda judged: mean_of_present(judged.auprc, judged.counts)),
    CALIBRATION_ERROR: Metric(
        lambda judged: calibration.resampled_calibration_error(*judged.arrays), best=0.0, biased=True
    ),
    "brier_score": Metric(
        lambda judged: judged.mean(calibration.squared_distances(*judged.arrays[:2])), best=0.0, largest=2.0
    ),
    "negative_log_likelihood": Metric(
        lambda judged: judged.mean(calibration.surprises(*judged.arrays[:2])), best=0.0, largest=np.inf
    ),
    SENSITIVITY: Metric(lambda judged: judged.sensitivity, per_class=True, share_of_class=True),
    AUROC: Metric(lambda judged: judged.auroc, per_class=True),
    "auprc": Metric(lambda judged: judged.auprc, per_class=True),
    "sensitivity_at_90_specificity": Metric(
        lambda judged: judged.at_90_specificity[0], per_class=True, share_of_class=True, at_threshold=True
    ),
    "specificity_at_that_90": Metric(lambda judged: judged.at_90_specificity[1], per_class=True, at_threshold=True),
    "sensitivity_at_95_specificity": Metric(
        lambda judged: judged.at_95_specificity[0], per_class=True, share_of_class=True, at_threshold=True
    ),
    "specificity_at_that_95": Metric(lambda judged: judged.at_95_specificity[1], per_class=True, at_threshold=True),
}
"""What `meddiff.evaluation.score` scores: a new metric is one line here."""
