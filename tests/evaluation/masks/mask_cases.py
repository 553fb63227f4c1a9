"""Long tables of cases for tests: whole rows with chosen Dice."""

import numpy as np
import pandas as pd

from meddiff.evaluation.masks.cases import case_scores

NAMES = ("background", "lesion")


def row(model, case, dice, *, patient=None, class_name="lesion", **other):
    """A row whose Dice is as told, and whose other metrics are those of some good mask."""
    mask = np.zeros((10, 10), int)
    mask[2:6, 2:6] = 1
    scores = case_scores(mask, mask, class_names=NAMES, spacing_mm=None)[0]
    told = {"dice": dice, "iou": dice / (2 - dice), "class_name": class_name, **other}
    return {"model": model, "case": case, "patient": patient or f"p{case}", **scores, **told}


def table(**dices):
    """One row per case for each model: ``table(unet=[0.9, 0.8], diffusion=[0.95, 0.7])``."""
    return pd.DataFrame([row(model, f"c{i}", d) for model, values in dices.items() for i, d in enumerate(values)])
