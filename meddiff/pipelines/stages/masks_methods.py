"""How the networks of a segmentation run were made, in sentences with what they rest on."""

from __future__ import annotations

from collections.abc import Mapping

from meddiff.assembly.titles import (
    BASELINE_SOURCES,
    FUSION_SOURCES,
    MASK_SOURCES,
    NETWORK_SOURCES,
    SAMPLERS,
    SCHEDULES,
)
from meddiff.pipelines.stages.masks_calibrate import model_names
from meddiff.recipe.segment import SegmentRecipe
from meddiff.reports.literature import CitedSentence
from meddiff.run_folder import RunFolder
from meddiff.segmentation import assembly
from meddiff.segmentation.models import models_of
from meddiff.training import checkpoint


def trained_steps(recipe: SegmentRecipe, run: RunFolder) -> dict[str, int]:
    """Optimizer steps of each model of a run, as its last checkpoint counts them."""
    last = {name: checkpoint.latest(models_of(run, name).checkpoints) for name in model_names(recipe)}
    return {name: checkpoint.read(path).step for name, path in last.items() if path is not None}


def methods(recipe: SegmentRecipe, steps: Mapping[str, int]) -> list[CitedSentence]:
    """How the models were made, for the methods paragraph."""
    draws, diffusion = recipe.inference, recipe.diffusion
    coding = "one channel per class" if recipe.mask.encoding == "one_hot" else "the binary digits of the class"
    sampler, source = SAMPLERS[draws.sampler]
    schedule, schedule_source = SCHEDULES[diffusion.schedule]
    averaged = ", whose estimates are averaged" if draws.estimate == "path" else ""
    sentences: list[CitedSentence] = [
        (
            f"Masks, coded as {coding} of +-{recipe.mask.scale:g}, were noised and denoised by the network "
            f"{recipe.network.name}, told the image, in {diffusion.timesteps} noise levels (schedule {schedule}, "
            f"prediction {diffusion.prediction}), trained for {steps[assembly.DIFFUSION]} steps of "
            f"{recipe.training.batch_size} images.",
            ("ho2020", *MASK_SOURCES[recipe.mask.encoding], schedule_source, *NETWORK_SOURCES[recipe.network.name]),
        ),
        (
            f"Each answer fuses {draws.members} masks by {draws.fusion}, each drawn in {draws.steps} steps of "
            f"{sampler}{averaged}.",
            (source, *FUSION_SOURCES.get(draws.fusion, ())),
        ),
    ]
    if axis := recipe.data.slice_axis:
        count = recipe.data.neighbors
        beside = f", each told with {count} neighbor{'s' * (count > 1)} to either side" if count else ""
        sentences.append((f"Volumes were segmented by {axis} slices{beside}, and judged as volumes.", ()))
    sentences += [
        (
            f"The deterministic baseline {name} was trained by the same trainer for {steps[name]} steps with Dice and "
            "cross-entropy.",
            BASELINE_SOURCES[name],
        )
        for name in recipe.baseline.names
    ]
    sentences.append(("Of each network the averaged weights of the best validation Dice were used.", ()))
    return sentences
