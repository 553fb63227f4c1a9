"""Agreement of images with their labels: the accuracy on them of a classifier of real images.

A generator that draws good images of the wrong class looks perfect to every distance between sets. So a classifier is
trained on the features of real images and asked about the others (the "classification accuracy score" of Ravuri &
Vinyals 2019 with the sets exchanged; Shmelkov et al. 2018 call it GAN-test). The classifier is ridge regression on
standardized features, classes weighted alike: it has a closed form, and works with fewer images than features. The
figure means something beside that of held-out real images.
"""

from __future__ import annotations

import numpy as np

from meddiff.errors import InputError

PENALTY = 1.0
"""Of the ridge, times the number of features: the penalty that standardized features of any number need alike."""


def label_agreement(
    real: np.ndarray, real_labels: np.ndarray, synthetic: np.ndarray, synthetic_labels: np.ndarray
) -> float:
    """Compute the share of synthetic images that a classifier of real ones calls as labeled, averaged over classes.

    real [N, F] with labels [N] trains, synthetic [M, F] with labels [M] is asked. Classes that the real images lack
    are left out; 1 / classes is chance.

    Raises:
        InputError: shapes that do not fit, NaN, or no two classes in common.
    """
    from sklearn.linear_model import RidgeClassifier

    for features, labels in ((real, real_labels), (synthetic, synthetic_labels)):
        if features.ndim != 2 or labels.shape != features.shape[:1] or features.shape[1] != real.shape[1]:
            raise InputError(
                f"got features {features.shape} and labels {labels.shape}: give [images, features] of one extractor "
                "and a label each"
            )
        if not np.isfinite(features.sum(dtype=np.float64)):
            raise InputError("the features contain NaN or infinity: check the images and the extractor")
    classes = np.intersect1d(real_labels, synthetic_labels)
    if len(classes) < 2:
        raise InputError(f"the two sets share {len(classes)} classes: labels can be judged where there are two or more")
    center, spread = real.mean(0, dtype=np.float64), real.std(0, dtype=np.float64)
    spread[spread == 0] = 1.0
    judge = RidgeClassifier(alpha=PENALTY * real.shape[1], class_weight="balanced")
    judge.fit((real - center) / spread, real_labels)
    right = np.asarray(judge.predict((synthetic - center) / spread)) == synthetic_labels
    return float(np.mean([right[synthetic_labels == name].mean() for name in classes]))
