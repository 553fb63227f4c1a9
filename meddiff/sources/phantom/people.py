"""Invented patients, their lesions and the views of them, as manifest rows. Nothing is drawn here.

The list is stable under its length: the first hundred of a thousand rows are the hundred rows that one gets alone,
so a file name never means two pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from meddiff.errors import InputError
from meddiff.manifest.row import ManifestRow
from meddiff.seeds import child_seed

GENERATOR = "meddiff.sources.phantom/1"
STANDARD_COUNTS = {"dermoscopy": 800, "brain_mri": 200}  # rows with seed 0 that data_manifest.csv holds
GOLDEN = (5**0.5 - 1) / 2  # its multiples fill 0..1 evenly, so that shares hold in every stretch of the list
VIEWS = (2, 1, 3, 1, 2, 4, 1, 2, 3, 1)  # images per lesion, in turn for the lesions of a class


@dataclass(frozen=True)
class Look:
    """One kind of phantom: what is drawn how often, and on whom."""

    modality: str
    shares: dict[str, float]  # class -> share of the lesions, most frequent first
    age_years: dict[str, float]  # class -> mean age
    sites: dict[str, tuple[str, ...]]
    without_lesion: tuple[str, ...] = ()


_TRUNK = ("back", "abdomen", "chest", "lower extremity", "upper extremity")
_FACE = ("face", "face", "neck", "scalp", "back")
LOOKS = {
    "dermoscopy": Look(
        "dermoscopy",
        {"nv": 0.55, "bkl": 0.18, "bcc": 0.12, "mel": 0.09, "vasc": 0.06},
        {"nv": 42, "bkl": 63, "bcc": 67, "mel": 60, "vasc": 50},
        {"nv": _TRUNK, "mel": _TRUNK, "bkl": (*_TRUNK, *_FACE), "bcc": _FACE, "vasc": (*_TRUNK, "face")},
    ),
    "brain_mri": Look(
        "MR",
        {"notumor": 0.42, "glioma": 0.28, "meningioma": 0.19, "pituitary": 0.11},
        {"notumor": 48, "glioma": 56, "meningioma": 60, "pituitary": 47},
        dict.fromkeys(("notumor", "glioma", "meningioma", "pituitary"), ("brain",)),
        ("notumor",),
    ),
}  # fmt: skip


def rows(look: str, *, seed: int, count: int) -> list[ManifestRow]:
    """Return the first ``count`` rows of the phantom set ``look`` ("dermoscopy", "brain_mri") with this seed.

    Draws nothing.

    Raises:
        InputError: an unknown look, or a count below 1.
    """
    if look not in LOOKS:
        raise InputError(f"there is no phantom look {look!r}; the looks are {', '.join(LOOKS)}")
    if count < 1:
        raise InputError(f"{count} phantoms were asked for; ask for at least 1")
    return list(islice(_endless(look, seed), count))


def _endless(look: str, seed: int) -> Iterator[ManifestRow]:
    kind, name = LOOKS[look], f"{look}-{seed}"
    classes, ceiling = list(kind.shares), np.cumsum(list(kind.shares.values()))
    patient = lesion = image = 0
    lesions = dict.fromkeys(classes, 0)
    while True:
        patient += 1
        rng = np.random.default_rng(child_seed(seed, "phantom", look, patient))
        age = sex = None
        for number in range(1, 1 + rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12])):
            lesion += 1
            # from 0.35 on, the first nine lesions are of all classes, so that a short list has them too
            label = classes[int(np.searchsorted(ceiling[:-1], (lesion * GOLDEN + 0.35) % 1, side="right"))]
            lesions[label] += 1
            age = age or float(np.clip(5 * round(rng.normal(kind.age_years[label], 14) / 5), 15, 90))
            sex = sex or str(rng.choice(["female", "male"]))
            site = str(rng.choice(kind.sites[label]))
            patient_id = f"{name}-P{patient:04d}"
            lesion_id = None if label in kind.without_lesion else f"{patient_id}-L{number}"
            for _ in range(VIEWS[lesions[label] % len(VIEWS)]):
                image += 1
                row_id = f"{name}-{image:05d}"
                yield ManifestRow(
                    row_id=row_id, dataset="phantom", patient_id=patient_id, lesion_id=lesion_id, split=None,
                    image_path=f"phantom/{look}/{row_id}.png", mask_path=f"phantom/{look}/{row_id}_mask.png",
                    slice_axis=None, slice_index=None, modality=kind.modality, label=label,
                    spacing_mm_0=None, spacing_mm_1=None, spacing_mm_2=None, age_years=age, sex=sex, site=site,
                    source="phantom", seed=child_seed(seed, "phantom", look, "view", image) % 2**31,
                    generator=GENERATOR, license="CC0-1.0", sha256=None,
                )  # fmt: skip
