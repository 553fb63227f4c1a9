"""A folder of photographs to masks, through the public API.

    python pipelines/segment_folder.py RUN PHOTOGRAPHS MASKS

RUN is the folder of `python -m meddiff.pipelines.segment train`. Writes NAME_mask.png (class indices) and
NAME_entropy.png (black sure, white unsure) for each picture, and prints its uncertainty, the least sure first.
`segment predict` does this and more: volumes, DICOM, resuming, a table.
"""

import sys
from pathlib import Path

import numpy as np

from meddiff import load
from meddiff.errors import InputError
from meddiff.formats import save_image
from meddiff.formats.find import find, names_of


def main(run: str, photographs: str, masks: str) -> None:
    """Segment every picture."""
    model, answers = load(run), []
    pictures = [one for one in find(photographs) if one.kind == "picture"]
    for one, name in zip(pictures, names_of(pictures), strict=True):
        answer = model(model.picture(one.path))
        save_image(answer.classes, Path(masks) / f"{name}_mask.png")
        save_image(np.rint(255 * answer.entropy).astype(np.uint8), Path(masks) / f"{name}_entropy.png")
        answers.append((answer.uncertainty, name))
    for uncertainty, name in sorted(answers, reverse=True):
        print(f"{uncertainty:.3f}  {name}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:4])
    except InputError as error:
        sys.exit(f"error: {error}")
