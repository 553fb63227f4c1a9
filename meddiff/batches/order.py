"""Which images are in batch k.

The choice is stateless: batch k is a function of (labels, seed, k) and of nothing else. A run that is resumed at
step k therefore sees what a run that was never killed would have seen, and has no loader state to save.
"""

from functools import lru_cache

import numpy as np

from meddiff.errors import InputError
from meddiff.seeds import child_seed


def draw_indices(
    labels: np.ndarray, *, batch_size: int, step: int, seed: int, class_balance: float = 0.0
) -> np.ndarray:
    """Positions of the images of batch number ``step``.

    Args:
        labels: [N] class of each image.
        batch_size: images per batch.
        step: number of the batch, from 0.
        seed: of the whole order.
        class_balance: 0 goes through shuffled epochs, each image once per epoch, batches running on from one epoch
            into the next. Above 0 images are drawn with replacement, a class of n images in proportion to
            n ** (1 - class_balance): 1 draws all classes alike.

    Returns:
        [batch_size] int64.
    """
    if not len(labels):
        raise InputError("there is no image to draw a batch from. Check the split: no row is left for this purpose.")
    if not 0 <= class_balance <= 1:
        raise InputError(f"class_balance is {class_balance}. It goes from 0 (as they come) to 1 (all classes alike).")
    if class_balance == 0:
        epoch, position = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(labels))
        return np.array([_epoch(len(labels), seed, int(e))[p] for e, p in zip(epoch, position, strict=True)])
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    edges = np.cumsum(counts[inverse].astype(np.float64) ** -class_balance)
    generator = np.random.default_rng(child_seed(seed, "balanced batch", step))
    drawn = np.searchsorted(edges, generator.random(batch_size) * edges[-1], side="right")
    return np.minimum(drawn, len(labels) - 1)  # rounding may put the last draw one past the end


@lru_cache(maxsize=4)  # a batch touches two epochs at most, unless it is larger than the data
def _epoch(count: int, seed: int, epoch: int) -> np.ndarray:
    order = np.random.default_rng(child_seed(seed, "epoch", epoch)).permutation(count)
    order.setflags(write=False)
    return order
