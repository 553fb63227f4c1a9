"""What spoils a study before it is trained on: found by numbers of each image, told by the names of the files."""

from meddiff.audit.finding import Finding
from meddiff.audit.study import audit

__all__ = ["Finding", "audit"]
