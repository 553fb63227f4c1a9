"""The order of training: the images in batch k.

The choice is stateless: batch k is a function of (classes, seed, k) and of nothing else. A run that is resumed at
step k therefore sees what a run that was never killed would have seen, and has no loader state to save.
"""

from functools import lru_cache

import numpy as np

from meddiff.errors import InputError
from meddiff.seeds import child_seed


class Order:
    """The order in which images come. What depends on the data set is worked out once and not at every batch.

    Args:
        kinds: [N] class of each image.
        class_balance: 0 goes through shuffled epochs, each image once per epoch, batches running on from one epoch
            into the next. Above 0 images are drawn with replacement, a class of n images in proportion to
            n ** (1 - class_balance): 1 draws all classes alike.

    Raises:
        InputError: no image, or a balance outside 0 to 1.
    """

    def __init__(self, kinds: np.ndarray, *, class_balance: float = 0.0) -> None:
        if not len(kinds):
            raise InputError(
                "there is no image to draw a batch from. Check the split: no row is left for this purpose."
            )
        if not 0 <= class_balance <= 1:
            raise InputError(
                f"class_balance is {class_balance}. It goes from 0 (as they come) to 1 (all classes alike)."
            )
        self._count = len(kinds)
        self._edges = _edges(kinds, class_balance) if class_balance else None

    def positions(self, step: int, *, batch_size: int, seed: int) -> np.ndarray:
        """Return positions of the images of batch number ``step``, counted from 0: [batch_size] int64.

        Args:
            step: number of the batch.
            batch_size: images per batch.
            seed: of the whole order.
        """
        if self._edges is None:
            epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), self._count)
            return np.array([_epoch(self._count, seed, int(e))[p] for e, p in zip(epochs, places, strict=True)])
        generator = np.random.default_rng(child_seed(seed, "balanced batch", step))
        drawn = np.searchsorted(self._edges, generator.random(batch_size) * self._edges[-1], side="right")
        return np.minimum(drawn, self._count - 1)  # rounding may put the last draw one past the end


def _edges(kinds: np.ndarray, class_balance: float) -> np.ndarray:
    """Return [N] where the share of each image ends on a line that all share."""
    _, inverse, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    return np.cumsum(counts[inverse].astype(np.float64) ** -class_balance)


@lru_cache(maxsize=4)  # a batch touches two epochs at most, unless it is larger than the data
def _epoch(count: int, seed: int, epoch: int) -> np.ndarray:
    order = np.random.default_rng(child_seed(seed, "epoch", epoch)).permutation(count)
    order.setflags(write=False)
    return order
