"""Any volume file, or a folder of DICOM, to a Volume. A new format is one reader in formats/ and one line here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddiff.errors import InputError
from meddiff.files.bad import bad_file, check_file, exists
from meddiff.files.unpack import is_archive, unpacked
from meddiff.files.walk import files_below
from meddiff.formats import metaimage, nifti
from meddiff.formats.dicom.series import Series, choose, find_series, is_dicom, read_header
from meddiff.formats.dicom.stack import read_series
from meddiff.formats.pictures import PICTURE_SUFFIXES
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
        series: of several DICOM series, the UID, number or description of the one that is meant; of one with several
            volumes, behind a # the number of one or what tells it apart: 7#2, 7#EchoTime=2.3, #DiffusionBValue=0.

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
        return read_series(choose([_series_with(on_disk(path))], series, path))
    check_file(path)
    reader = reader_of(path)
    if reader is not None:
        return reader(path)
    if is_dicom(path):
        inside = find_series([path])
        if inside.others:
            read_header(path)  # says what is wrong with a file that is no image
        return read_series(choose(inside.series, series, path))
    raise bad_file(path, f"not a volume of a known kind; these are DICOM and {', '.join(READERS)}")


def _load_folder(folder: Path, series: str | int | None) -> Volume:
    files = files_below(folder)
    inside = find_series(files)
    volumes = [] if inside.series or series is not None else [file for file in files if is_volume(file)]
    if len(volumes) > 1:
        raise InputError(
            f"{folder}: there are {len(volumes)} volumes in it. Name one, such as {volumes[0].name}; unpack an archive "
            "for that."
        )
    return load_volume(volumes[0]) if volumes else read_series(choose(inside.series, series, folder))


def _series_with(file: Path) -> Series:
    uid = str(read_header(file).get("SeriesInstanceUID", ""))
    inside = find_series(sorted(other for other in file.parent.iterdir() if other.is_file()))
    return next(series for series in inside.series if series.uid == uid)


def reader_of(path: Path) -> Callable[[Path], Volume] | None:
    """Return the reader for a file of that name; None where only its content can tell (DICOM)."""
    name = path.name.lower()
    return next((READERS[suffix] for suffix in sorted(READERS, key=len, reverse=True) if name.endswith(suffix)), None)


def is_volume(path: Path) -> bool:
    """Tell whether a file is a volume by its name; the voxels of a pair (.img) are read through their header (.hdr)."""
    voxels = path.name.lower().endswith((".img", ".img.gz"))
    return reader_of(path) is not None and not (voxels and len(_pair(path)) > 1)


def stem_of(name: str) -> str:
    """Return a file's name without the suffix that tells how it is read: ``1.3.6.100.nii.gz`` -> ``1.3.6.100``."""
    suffixes = [suffix for suffix in (*READERS, *PICTURE_SUFFIXES) if name.lower().endswith(suffix)]
    return name[: len(name) - max(map(len, suffixes), default=0)] or name


def files_of(path: Path) -> list[Path]:
    """List all files that an image is read from: of a folder or series those in it, of a header its voxels too."""
    if path.is_dir():
        return files_below(path)
    if path.name.endswith(SERIES):
        return sorted(file for file in path.parent.iterdir() if file.is_file())
    if path.name.lower().endswith((".hdr", ".hdr.gz", ".img", ".img.gz")):
        return _pair(path) or [path]
    if path.name.lower().endswith((".mhd", ".nhdr")):
        return metaimage.files_of_header(path)
    return [path]


def _pair(path: Path) -> list[Path]:
    """List the header and the voxels of an Analyze or NIfTI pair, as far as they are there."""
    endings = [f"{ending}{packed}" for ending in (".hdr", ".img") for packed in ("", ".gz")]
    names = [f"{stem_of(path.name)}{ending}" for some in endings for ending in (some, some.upper())]
    files = [file for name in names if (file := path.with_name(name)).is_file()]
    return list({file.stat().st_ino: file for file in files}.values())  # some disks know no capitals
