"""What spoils a study before it is trained on: found by numbers of each image, told by the names of the files."""

from meddiff.data.audit.finding import Finding
from meddiff.data.audit.study import audit

__all__ = ["Finding", "audit"]
