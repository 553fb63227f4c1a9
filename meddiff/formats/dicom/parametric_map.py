"""Maps of numbers to DICOM Parametric Map (PS3.3 A.75) through highdicom: uncertainty, where viewers show it.

Values are stored as they are, 32-bit floats in Float Pixel Data. A map lies on its source as a Segmentation does
(`references`): every plane beside the file or frame that it belongs to, nothing resampled, fitted or guessed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import meddiff
from meddiff.files.writing import write_atomically
from meddiff.formats.damage import damage_named
from meddiff.formats.dicom.references import made_by, planes_of, renumber, source_headers, with_thickness
from meddiff.formats.dicom.series import Series

if TYPE_CHECKING:
    from pydicom import Dataset


def save_parametric_map(
    values: np.ndarray, path: str | Path, *, series: Series | Sequence[Path], name: str, explanation: str,
    largest: float = 1.0, algorithm: str = "meddiff",
) -> None:  # fmt: skip
    """Write numbers without a unit as a Parametric Map that references its source, frame by frame.

    **This is identified data**, as a Segmentation is (`save_dicom_seg`). The same map of the same series gets the same
    UIDs.

    Args:
        values: float32 [I, J, K] from 0 to ``largest``, in the axes of `read_series`.
        path: the file, usually NAME.dcm.
        series: the source, or its files.
        name: of the quantity, in at most 16 capitals, digits and underscores.
        explanation: of the quantity, in a few words.
        largest: value that a viewer shows brightest.
        algorithm: its name, for the record.

    Raises:
        InputError: a source that cannot be referenced (see `save_dicom_seg`), a map of another size, a folder that may
            not be written to.
        ValueError: values of another type or range.
    """
    if values.dtype != np.float32 or not (0 <= values.min(initial=0) <= values.max(initial=0) <= largest):
        raise ValueError(f"a map is float32 from 0 to {largest}, not {values.dtype}")
    path = Path(path)
    series, frames, planes = planes_of(values, path, series, "map")
    with damage_named(series.files[0], "the header"):
        headers = source_headers(series, frames)
        known = [headers[0].SeriesInstanceUID, headers[0].SOPInstanceUID, name, algorithm, meddiff.__version__]
        known += [hashlib.sha256(planes.tobytes()).hexdigest()]
        more = made_by(algorithm, series.number) | {"series_description": f"{explanation} by {algorithm}"[:64]}
        built = _map(planes, headers, known, name=name, explanation=explanation, largest=float(largest), **more)
        renumber(with_thickness(built), frames)
    write_atomically(path, lambda file: built.save_as(file, enforce_file_format=True), durable=False)


def _map(
    planes: np.ndarray, headers: "list[Dataset]", known: list[str], *, name: str, explanation: str, largest: float,
    **more: Any,
) -> Any:  # fmt: skip
    from highdicom import VOILUTTransformation
    from highdicom.pm import ParametricMap, RealWorldValueMapping
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    return ParametricMap(
        source_images=headers,
        pixel_array=planes,
        series_instance_uid=generate_uid(entropy_srcs=["map series", *known]),
        sop_instance_uid=generate_uid(entropy_srcs=["map instance", *known]),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            RealWorldValueMapping(name, explanation[:64], codes.UCUM.NoUnits, (0.0, largest), 1.0, 0.0)
        ],
        voi_lut_transformations=[VOILUTTransformation(window_center=largest / 2, window_width=largest)],
        content_label=name,
        content_description=explanation[:64],
        **more,
    )
