"""How well images that are unlike those of training are told from those that are like them, on real data.

    python benchmarks/likeness.py ../shared/data > benchmarks/results/likeness.txt

Of two sets (dermoscopy in color, brain MRI in gray) 40% of the patients or lesions train, 10% are held out, and the
rest says how many are called unlike though they are not; images of other sets, brought to the same channels, how many
are called so by their distance alone, and the area under the ROC curve of the p-value.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddiff import build
from meddiff.images.intensity import to_model_range
from meddiff.inference.likeness import Likeness
from meddiff.manifest.split import assign_splits
from meddiff.metrics.classifiers.discrimination import auroc
from meddiff.recipe import Recipe, from_dict

SETS = {
    "HAM10000": ("isic", "HAM10000"), "PH2": ("isic", "PH2"), "ISIC 2017": ("isic", "ISIC-2017"),
    "brain MRI, four classes": ("brain_tumor", "brain-tumor-4class"),
    "brain MRI, yes and no": ("brain_tumor", "brain-tumor-yes-no"), "LGG brain MRI": ("lgg", "lgg-mri-segmentation"),
}  # fmt: skip
TRAINED = {"HAM10000": 3, "brain MRI, four classes": 1}
"""Sets that are trained on, with the channels that the network is told."""
MOST, OTHERS = 2000, 200


def images_of(name: str, data: Path, channels: int, most: int) -> tuple[list[np.ndarray], list]:
    """Prepare a random choice of a set's images [C, 64, 64], with their rows."""
    dataset, folder = SETS[name]
    rows = build.source(dataset).rows(data / folder)
    chosen = np.random.default_rng(0).permutation(len(rows))[:most]
    settings = {"image_size": 64, "channels": channels, "on_bad_file": "skip"}
    recipe = from_dict(Recipe, {"dataset": dataset, "data_root": str(data / folder), "data": settings})
    prepared = build.prepared([rows[at] for at in sorted(chosen)], recipe)
    return [to_model_range(np.asarray(case.image)).numpy() for case in prepared], list(prepared.rows)


def main() -> None:
    """Print a line per set that is trained on and set that is judged."""
    data = Path(sys.argv[1])
    print(f"{'trained on':30}{'judged':28}{'images':>7}{'called unlike':>15}{'AUROC':>9}{'median p':>10}")
    for name, channels in TRAINED.items():
        images, rows = images_of(name, data, channels, MOST)
        split = [row.split for row in assign_splits([replace(row, split=None) for row in rows], train=0.4, val=0.1)]
        train, val, test = (
            [at for at, part in enumerate(split) if part == which] for which in ("train", "val", "test")
        )
        known = Likeness.fitted([images[at] for at in train], [rows[at].group for at in train],
                                [images[at] for at in val], [])  # fmt: skip
        assert known is not None
        own = [known.verdict(images[at]) for at in test]
        title = f"{name} ({len(train)})"
        p_own = np.array([one.p for one in own])
        unlike = np.mean([one.unlike for one in own])
        print(f"{title:30}{'the same, held out':28}{len(own):7d}{unlike:14.1%}{'':>10}{np.median(p_own):10.3f}")
        for other in SETS:
            if other != name:
                judged = [known.verdict(image) for image in images_of(other, data, channels, OTHERS)[0]]
                p = np.array([one.p for one in judged])
                truth = np.repeat([0, 1], [len(own), len(judged)])
                area = auroc(truth, np.stack([every := np.concatenate([p_own, p]), 1 - every], axis=1))[1]
                far = np.mean([one.unlike for one in judged])
                print(f"{title:30}{other:28}{len(judged):7d}{far:14.1%}{area:10.3f}{np.median(p):10.3f}")


if __name__ == "__main__":
    main()
