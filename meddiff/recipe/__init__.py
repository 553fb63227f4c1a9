"""Settings of the user: recipes of runs, settings of the other commands, and what is done with them as values."""

from meddiff.recipe.autoencode import AutoencodeRecipe
from meddiff.recipe.detect import DetectRecipe
from meddiff.recipe.generate import (
    ClassifierRecipe,
    DiffusionRecipe,
    EvaluationRecipe,
    FilterRecipe,
    NetworkRecipe,
    Recipe,
    SynthesisRecipe,
)
from meddiff.recipe.parts import (
    DataRecipe,
    IntervalRecipe,
    NoiseRecipe,
    Range,
    RunRecipe,
    TrainingRecipe,
    VolumeRecipe,
    of_volumes,
)
from meddiff.recipe.segment import SegmentRecipe
from meddiff.recipe.translate import TranslateRecipe
from meddiff.recipe.values import check, differences, flat, from_dict, to_dict

AnyRecipe = Recipe | SegmentRecipe | TranslateRecipe | DetectRecipe | AutoencodeRecipe
ImageRecipe = Recipe | TranslateRecipe | DetectRecipe | AutoencodeRecipe
"""Recipes of runs that see images without masks: whole, and slices upright."""
MaskedRecipe = Recipe | SegmentRecipe | TranslateRecipe
"""Recipes of runs that can learn from masks."""
KINDS: tuple[type[AnyRecipe], ...] = (Recipe, SegmentRecipe, TranslateRecipe, DetectRecipe, AutoencodeRecipe)
"""The kinds of runs."""

__all__ = [
    "KINDS",
    "AnyRecipe",
    "AutoencodeRecipe",
    "ClassifierRecipe",
    "DataRecipe",
    "DetectRecipe",
    "DiffusionRecipe",
    "EvaluationRecipe",
    "FilterRecipe",
    "ImageRecipe",
    "IntervalRecipe",
    "MaskedRecipe",
    "NetworkRecipe",
    "NoiseRecipe",
    "Range",
    "Recipe",
    "RunRecipe",
    "SegmentRecipe",
    "SynthesisRecipe",
    "TrainingRecipe",
    "TranslateRecipe",
    "VolumeRecipe",
    "check",
    "differences",
    "flat",
    "from_dict",
    "of_volumes",
    "to_dict",
]
