"""Weights and drawing that a training takes over from another run."""
