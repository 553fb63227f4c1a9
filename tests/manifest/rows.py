"""Small rows and pictures for the tests of meddiff.batches."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from meddiff.manifest.row import COLUMNS, ManifestRow


def example_row(row_id: str = "a", *, root: Path = Path(), **known: Any) -> ManifestRow:
    """A row of which nothing is known but what is given."""
    values = {"row_id": row_id, "dataset": "example", "image_path": f"{row_id}.png", "source": "real"}
    return ManifestRow(**(dict.fromkeys(COLUMNS) | values | known), root=root)


def draw_pictures(root: Path, count: int = 6, *, shape: tuple[int, ...] = (20, 30, 3), masks: bool = False):
    """Rows 0 .. count-1 with noise for images, each unlike the others, and half-plane masks."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(count):
        name = f"{number}.png"
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(root / name)
        if masks:
            mask = np.zeros(shape[:2], dtype=np.uint8)
            mask[: shape[0] // 2] = 255
            Image.fromarray(mask).save(root / f"{number}-mask.png")
        known = {"mask_path": f"{number}-mask.png"} if masks else {}
        rows.append(example_row(str(number), root=root, image_path=name, label="xyz"[number % 3], **known))
    return rows
