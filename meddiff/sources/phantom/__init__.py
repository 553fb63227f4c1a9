"""The built-in phantom set: medical-looking images drawn by code from a seed, with exact masks, showing no patient.

It stands in where no real images are found, so that the whole path can be seen, and it is where tests know the truth.
Like real sets it is long-tailed, has several images per lesion and several lesions per patient (so that a split by
image leaks), and its classes overlap.

A row is all that a picture needs: the skin or the head is drawn from ``patient_id``, the lesion from ``lesion_id``,
the view from ``seed``.
"""

from meddiff.sources.phantom.files import BRAIN_MRI, DERMOSCOPY, PHANTOM, draw, stamp, write
from meddiff.sources.phantom.hippocampus import HIPPOCAMPUS, draw_volume, volume_rows, write_volumes
from meddiff.sources.phantom.people import GENERATOR, LOOKS, STANDARD_COUNTS, rows

__all__ = ["BRAIN_MRI", "DERMOSCOPY", "GENERATOR", "HIPPOCAMPUS", "LOOKS", "PHANTOM", "STANDARD_COUNTS", "draw",
           "draw_volume", "rows", "stamp", "volume_rows", "write", "write_volumes"]  # fmt: skip
