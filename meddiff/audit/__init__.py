"""Faults that spoil a study, found before it is trained on: by numbers of each image, reported by names of files."""

from meddiff.audit.finding import Finding
from meddiff.audit.study import audit

__all__ = ["Finding", "audit"]
