"""Trained weights by name, and how a run becomes a model that has one."""
