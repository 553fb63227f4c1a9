"""Volumes of one's own making, for tests."""

from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from meddiff.formats.nifti import save_volume
from meddiff.formats.volume import Volume
from tests.manifest.rows import example_row

ORIENTATIONS = ["".join(letters) for order in permutations(("LR", "PA", "IS")) for letters in product(*order)]


def affine_of(orientation: str, spacing_mm=(1.0, 1.0, 1.0), *, origin=(-7.0, 11.0, 23.0)) -> np.ndarray:
    """4 x 4 whose axes run as told, spacing in the order of the array axes."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(orientation):
        world = next(number for number, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        affine[world, axis] = spacing_mm[axis] * (1 if letter in "RAS" else -1)
    affine[:3, 3] = origin
    return affine


def turned(affine: np.ndarray, degrees=(0.0, 0.0, 0.0)) -> np.ndarray:
    """The affine after a rotation around each world axis."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        one = np.eye(4)
        i, j = [number for number in range(3) if number != axis]
        one[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = one @ matrix
    return matrix @ affine


def volume_of(array: np.ndarray, affine: np.ndarray | None, **known: Any) -> Volume:
    """A Volume as the readers make them."""
    if affine is None:
        return Volume(array, None, **{"spacing_mm": (None, None, None), "orientation": None} | known)
    spacing = tuple(float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
    return Volume(array, affine, spacing, nibabel.aff2axcodes(affine), **known)  # type: ignore[arg-type]


def ball(shape: tuple[int, int, int], radius_mm: float, spacing_mm=(1.0, 1.0, 1.0), *, center=None) -> np.ndarray:
    """[I, J, K] bool."""
    middle = [(size - 1) / 2 for size in shape] if center is None else center
    index = np.indices(shape).reshape(3, -1).T
    distance = np.linalg.norm((index - middle) * spacing_mm, axis=1)
    return (distance < radius_mm).reshape(shape)


def write_cases(root: Path, count: int = 3, *, shape=(12, 10, 8), masks: bool = True, affine=None, classes: int = 3):
    """Rows of volumes of noise, each another one and of another size, with boxes as masks."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(count):
        size = tuple(side + number for side in shape)
        placed = affine_of("RAS") if affine is None else affine
        save_volume(generator.normal(100, 20, size).astype(np.float32), root / f"{number}.nii.gz", affine=placed)
        mask = np.zeros(size, dtype=np.uint8)
        for index in range(1, classes):
            mask[2 * index : 2 * index + 2, 3:6, 2:5] = index
        if masks:
            save_volume(mask, root / f"{number}-mask.nii.gz", affine=placed)
        known = {"mask_path": f"{number}-mask.nii.gz"} if masks else {}
        rows.append(example_row(str(number), root=root, image_path=f"{number}.nii.gz", patient_id=str(number), **known))
    return rows


def labels_back(grid, labels):
    """Class indices of a working grid on the volume's own, as masks are written: the class of the largest share."""
    classes = np.unique(labels)
    shares = grid.restore(np.stack([labels == index for index in classes]).astype(np.float32))
    return classes[shares.argmax(axis=0)]
