"""Slices of a series to a grid: frames, what they measure, what tells them apart, and where they lie."""
