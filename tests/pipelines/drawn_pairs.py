"""Drawn pictures with masks of three classes: a disc (bright) with a core (dark) on stripes, the border not judged."""

from pathlib import Path

import numpy as np
from PIL import Image

VALUES = {"background": 0, "disc": 128, "core": 255, "ignore": 7}
"""How the masks are stored."""


def draw_pairs(place: Path, count: int = 60, side: int = 16) -> Path:
    """Write pictures, masks and their manifest; of a patient are two pictures."""
    generator, lines = np.random.default_rng(0), []
    place.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:side, :side]
    for number in range(count):
        middle, radius = generator.uniform(5, side - 5, 2), generator.uniform(3.5, 5.5)
        far = np.hypot(y - middle[0], x - middle[1])
        disc, core = far < radius, far < radius - 2
        stripes = np.sin((x * np.cos(number) + y * np.sin(number)) * 1.2) > 0
        picture = np.where(core, 20, np.where(disc, 230, 90 + 40 * stripes)).astype(np.uint8)
        mask = np.where(core, VALUES["core"], np.where(disc, VALUES["disc"], 0)).astype(np.uint8)
        mask[0] = VALUES["ignore"]
        Image.fromarray(np.stack([picture, 255 - picture, picture // 2], -1)).save(place / f"{number}.png")
        Image.fromarray(mask).save(place / f"{number}_mask.png")
        lines.append(f"r{number},drawn,{number}.png,{number}_mask.png,real,p{number // 2}")
    header = "row_id,dataset,image_path,mask_path,source,patient_id\n"
    (place / "manifest.csv").write_text(header + "\n".join(lines) + "\n")
    return place / "manifest.csv"
