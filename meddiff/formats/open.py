"""Any volume file, or a folder of DICOM, to a Volume. A new format is one reader in formats/ and one line here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, check_file, exists
from meddiff.files.unpack import is_archive, unpacked
from meddiff.formats import metaimage, nifti
from meddiff.formats.dicom.series import Series, choose, find_series, is_dicom, read_header
from meddiff.formats.dicom.volume import read_series
from meddiff.formats.volume import Volume
from meddiff.manifest.row import SERIES, on_disk

READERS: dict[str, Callable[[Path], Volume]] = {
    **dict.fromkeys(nifti.SUFFIXES, nifti.read_nifti),
    **dict.fromkeys(metaimage.SUFFIXES, metaimage.read_metaimage),
}


def load_volume(path: str | Path, *, series: str | int | None = None) -> Volume:
    """Read a volume.

    Args:
        path: NIfTI (.nii, .nii.gz, .img with .hdr), MGH, NRRD, MetaImage; one DICOM file (enhanced, mosaic, or a
            single slice), with ``#series`` behind its name the whole series that it belongs to, of the files in its
            folder; or a folder or zip archive, searched with all below it for DICOM, or for the one volume file
            that lies there.
        series: of a folder with several DICOM series, the UID, number or description of the one that is meant.

    Raises:
        InputError: what is no volume, is damaged, or whose geometry contradicts itself; with the reason.
    """
    path = Path(path)
    if not exists(on_disk(path)):
        raise bad_file(path, "there is no such file")
    if is_archive(path):
        with unpacked(path) as folder:
            volume = _load_folder(folder, series)
            return replace(volume, array=np.array(volume.array))  # no window on a file that is gone in a moment
    if path.is_dir():
        return _load_folder(path, series)
    if path.name.endswith(SERIES):
        return read_series(_series_with(on_disk(path)))
    check_file(path)
    reader = reader_of(path)
    if reader is not None:
        return reader(path)
    if is_dicom(path):
        found = find_series([path])
        if found.others:
            read_header(path)  # says what is wrong with a file that is no image
        return read_series(choose(found.series, series, path))
    raise bad_file(path, f"not a volume of a known kind; these are DICOM and {', '.join(READERS)}")


def _load_folder(folder: Path, series: str | int | None) -> Volume:
    files = files_below(folder)
    found = find_series(files)
    volumes = [] if found.series or series is not None else [file for file in files if is_volume(file)]
    if len(volumes) > 1:
        raise InputError(
            f"{folder}: there are {len(volumes)} volumes in it. Name one, such as {volumes[0].name}; unpack an archive "
            "for that."
        )
    return load_volume(volumes[0]) if volumes else read_series(choose(found.series, series, folder))


def _series_with(file: Path) -> Series:
    uid = str(read_header(file).get("SeriesInstanceUID", ""))
    found = find_series(sorted(other for other in file.parent.iterdir() if other.is_file()))
    return next(series for series in found.series if series.uid == uid)


def reader_of(path: Path) -> Callable[[Path], Volume] | None:
    """The reader for a file of that name; None where only its content can tell (DICOM)."""
    name = path.name.lower()
    return next((READERS[suffix] for suffix in sorted(READERS, key=len, reverse=True) if name.endswith(suffix)), None)


def is_volume(path: Path) -> bool:
    """Whether a file is a volume by its name; the voxels of a pair (.img) are read through their header (.hdr)."""
    return reader_of(path) is not None and not (path.suffix == ".img" and path.with_suffix(".hdr").exists())


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, sorted, hidden ones left out.

    Raises:
        InputError: the folder may not be read.
    """
    try:
        files = [file for file in folder.rglob("*") if file.is_file()]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}. Name a folder that you may read.") from error
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))
