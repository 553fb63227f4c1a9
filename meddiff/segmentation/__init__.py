"""Segmentation by diffusion: what a recipe asks for, networks that are trained, and what segments with them."""

from meddiff.segmentation.trained import TrainedModel, load

__all__ = ["TrainedModel", "load"]
