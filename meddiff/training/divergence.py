"""Training that has run off to infinity stops, with the step and what to do."""

from __future__ import annotations

from meddiff.errors import InputError


class TrainingDiverged(InputError):  # noqa: N818
    """The loss, a gradient or a weight is no longer a finite number."""

    def __init__(self, what: str, step: int, cure: str) -> None:
        self.step = step
        super().__init__(f"training of the {what} diverged: its loss or gradient at step {step} is not finite. {cure}")


def denoiser_diverged(step: int, last_good: object = None) -> TrainingDiverged:
    """Return the denoiser's training at ``step``; ``last_good`` names the checkpoint to go on from, if there is one."""
    kept = f"The last good checkpoint is {last_good}, where the next run goes on" if last_good else "No checkpoint yet"
    return TrainingDiverged(
        "denoiser",
        step,
        f"{kept}. Lower --training.learning_rate, lengthen --training.warmup_steps or use --training.precision 32",
    )


def classifier_diverged(step: int) -> TrainingDiverged:
    """Return a classifier's training at ``step``."""
    return TrainingDiverged("classifier", step, "Lower --classifier.learning_rate")
