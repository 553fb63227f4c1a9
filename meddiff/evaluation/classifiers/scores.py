"""Scores of the arms of a study with intervals, their paired differences, and the sentence that says if it helped.

What an interval covers: other patients, and other training runs (Bouthillier et al. 2021, "Accounting for variance in
machine learning benchmarks"), but not another set of training patients.

- Patients (groups, never images) are resampled within strata, a patient belonging to the rarest class that he or she
  has, so that no resample loses a class; pROC stratifies likewise (Robin et al. 2011). Metrics that depend on how
  frequent a class is (`meddiff.evaluation.classifiers.metrics`) are thus for the shares that the test images have. If a
  resample does lose a class that only occurs beside a rarer one, the macro averages are over the classes present. A
  class with a single patient has that one in every resample; a warning says so.
- Seeds are a level above. Three of them cannot be bootstrapped: simulated intervals held the truth in 81% of the
  cases where seeds matter more than patients. So their mean is spread by Student's t instead
  (`meddiff.evaluation.classifiers.study.over_seeds`), which held it in 93% or more, for 3 and 5 seeds, 60 to 1000
  patients, seeds alike or not (150 simulated studies of each kind).
- Differences are paired: both arms see the same resampled patients, and seed is compared with like seed.

Intervals are percentiles of the resamples, cut to what the metric can be, and not adjusted for the number of arms
and classes looked at. The calibration error of few images lies above the truth, and every resample of them above that:
its percentiles are reflected at the estimate (the basic bootstrap of Davison & Hinkley 1997, section 5.2), so that the
estimate may lie at the upper end of its interval, as it should.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from meddiff.errors import InputError
from meddiff.evaluation.classifiers.intervals import counted, interval, probability_better, score_interval, warning
from meddiff.evaluation.classifiers.metrics import BALANCED_ACCURACY, METRICS
from meddiff.evaluation.classifiers.study import Study, over_seeds, read_study, resampled_scores
from meddiff.evaluation.masks.summary import FEW_PATIENTS
from meddiff.metrics.resampling import USUAL, Resampling

DIFFERENCE_COLUMNS = [
    *("arm", "reference", "metric", "class_name", "estimate", "reference_estimate", "difference", "low", "high"),
    *("probability", "confidence_level", "n_images", "n_groups", "n_seeds", "warning"),
]
"""Columns of `paired_differences`, also where there is but one arm and nothing to compare."""


def score(
    predictions: pd.DataFrame,
    class_names: Sequence[str],
    *,
    validation: pd.DataFrame | None = None,
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """Compute every metric of `meddiff.evaluation.classifiers.metrics` of each arm, with intervals.

    ``predictions`` has one row per arm, seed and image: arm, seed, row_id, group (patient), label (class name) and
    p_<class> for each class; ``validation`` the same of the validation images, for the thresholds of sensitivities at
    a fixed specificity (without it they are points of the test ROC curve, and a warning says so). The estimate is the
    mean over the seeds of the metric on all test images.

    Returns one row per arm and metric: arm, metric, class_name, estimate, low, high, n_images, n_groups, n_seeds,
    warning. A metric that is not defined (no image of the class) has NaN and says why. Raises InputError for a table
    that is incomplete: a missing column, arms scored on other images or with other seeds.
    """
    study = read_study(predictions, class_names, validation)
    values = resampled_scores(study, resampling=resampling)
    return scores_of(study, values, resampling=resampling)


def scores_of(
    study: Study,
    values: np.ndarray,
    *,
    metrics: Sequence[str] = tuple(METRICS),
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """Compute the table of `score` from the `resampled_scores` of these metrics."""
    records = []
    for a, arm in enumerate(study.arms):
        means = over_seeds(values[a], resampling)
        for m, (metric, class_name) in enumerate(study.names(metrics)):
            low, high = score_interval(study, metric, class_name, means[:, m], resampling)
            images, groups = study.counts(class_name)
            records.append(
                {"arm": arm, "metric": metric, "class_name": class_name, "estimate": means[0, m], "low": low,
                 "high": high, "n_images": images, "n_groups": groups, "n_seeds": len(study.seeds),
                 "warning": warning(study, metric, class_name, low, high)}
            )  # fmt: skip
    return pd.DataFrame(records)


def paired_differences(
    predictions: pd.DataFrame,
    class_names: Sequence[str],
    *,
    reference_arms: Sequence[str],
    validation: pd.DataFrame | None = None,
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """Compute every other arm minus the best of ``reference_arms`` (those without synthetic images), paired.

    The reference is the one of highest balanced accuracy on the same test images: a choice that can only work
    against the arm it is compared with. Arms in ``reference_arms`` are compared with it too.

    Returns one row per arm and metric: arm, reference, metric, class_name, estimate, reference_estimate, difference,
    low, high, probability (share of the resamples in which the arm is better, ties counted half), confidence_level,
    n_images, n_groups, n_seeds, warning. Raises InputError as `score`, and for a reference arm that is not there.
    """
    study = read_study(predictions, class_names, validation)
    reference = best_reference(plain_balanced_accuracy(study), reference_arms)
    values = resampled_scores(study, resampling=resampling)
    return differences_of(study, values, reference=reference, resampling=resampling)


def differences_of(
    study: Study,
    values: np.ndarray,
    *,
    reference: str,
    metrics: Sequence[str] = tuple(METRICS),
    resampling: Resampling = USUAL,
) -> pd.DataFrame:
    """Compute the table of `paired_differences` against one arm from the `resampled_scores` of these metrics."""
    estimates = values[:, :, 0].mean(1)  # [A, M]
    r = study.arms.index(reference)
    records = []
    for a, arm in enumerate(study.arms):
        with np.errstate(invalid="ignore"):  # of two infinite negative log-likelihoods
            differences = over_seeds(values[a] - values[r], resampling)
        for m, (metric, class_name) in enumerate(study.names(metrics) if a != r else []):
            largest = METRICS[metric].largest
            low, high = np.clip(interval(METRICS[metric], differences[:, m], resampling), -largest, largest)
            images, groups = study.counts(class_name)
            records.append(
                {"arm": arm, "reference": reference, "metric": metric, "class_name": class_name,
                 "estimate": estimates[a, m], "reference_estimate": estimates[r, m], "difference": differences[0, m],
                 "low": low, "high": high, "probability": probability_better(METRICS[metric], differences[1:, m]),
                 "confidence_level": resampling.confidence_level, "n_images": images, "n_groups": groups,
                 "n_seeds": len(study.seeds), "warning": warning(study, metric, class_name, low, high)}
            )  # fmt: skip
    return pd.DataFrame(records, columns=None if records else DIFFERENCE_COLUMNS)


def plain_balanced_accuracy(study: Study) -> pd.DataFrame:
    """Compute what `best_reference` looks at: of each arm, without an interval."""
    values = resampled_scores(study, metrics=[BALANCED_ACCURACY], resampling=Resampling(1))[:, :, 0, 0]
    return pd.DataFrame({"arm": study.arms, "metric": BALANCED_ACCURACY, "estimate": values.mean(1)})


def best_reference(scores: pd.DataFrame, arms: Sequence[str]) -> str:
    """Compute the arm of highest balanced accuracy in a table of `score`, among ``arms``.

    The first of several equal ones.
    """
    missing = [arm for arm in arms if arm not in set(scores["arm"])]
    if missing or not len(arms):
        raise InputError(
            f"no scores for the reference arm(s) {', '.join(missing) or '(none named)'}; there are scores for "
            f"{', '.join(dict.fromkeys(scores['arm']))}: name arms without synthetic images that were trained"
        )
    estimates = scores[scores["metric"] == BALANCED_ACCURACY].set_index("arm")["estimate"]
    return max(arms, key=lambda arm: estimates[arm])


def summary_sentence(
    differences: pd.DataFrame,
    *,
    arm: str = "real_synthetic",
    metric: str = BALANCED_ACCURACY,
    group_noun: str = "patient",
    arm_title: Callable[[str], str] = str,
) -> str:
    """Say whether the synthetic images helped, in one sentence, from the table of `paired_differences`.

    They helped, or hurt, if the interval of the difference to the best arm without them leaves out zero; with fewer
    than `FEW_PATIENTS` groups it is no such interval, and nothing is judged.
    ``group_noun`` is what the groups are: patients, lesions where the data name no patients, else images; ``arm_title``
    says an arm's name in words. A study without that arm gets a sentence too, which says so.
    """
    if arm not in set(differences["arm"]):
        return f"Whether synthetic images help was not asked: this study has no arm “{arm_title(arm)}”."
    chosen = differences[(differences["arm"] == arm) & (differences["metric"] == metric)]
    if len(chosen) != 1:
        raise InputError(
            f"the table of differences has {len(chosen)} rows for the arm {arm!r} and the metric {metric!r}: name a "
            "metric that is an average over classes, balanced_accuracy or macro_auroc"
        )
    row = chosen.iloc[0]
    of_groups = "" if group_noun == "image" else f" of {counted(row['n_groups'], group_noun)}"
    on = f"on {counted(row['n_images'], 'test image')}{of_groups} with {counted(row['n_seeds'], 'training seed')}"
    if row["n_groups"] < FEW_PATIENTS:
        return (
            f"Whether synthetic images help cannot be judged {on}: an interval needs at least {FEW_PATIENTS} "
            f"{group_noun}s, better 100. Add images, or give the test split more of them (--data.train_fraction)."
        )
    name = metric.replace("_", " ").replace("auroc", "AUROC")
    if row["low"] > 0:
        verdict = f"Synthetic images helped: {name} rose"
    elif row["high"] < 0:
        verdict = f"Synthetic images did not help, they hurt: {name} fell"
    else:
        verdict = f"No help by synthetic images was shown: {name} went"
    return (
        f"{verdict} from {row['reference_estimate']:.3f} (best arm without them: {arm_title(row['reference'])}) to "
        f"{row['estimate']:.3f}, a difference of {row['difference']:+.3f} with {row['confidence_level']:.0%} interval "
        f"{row['low']:+.3f} to {row['high']:+.3f}, {on}."
    )
