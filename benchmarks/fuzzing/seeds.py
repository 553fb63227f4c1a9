"""Small seed files of every format, made in memory, and the smallest files of a folder of samples."""

import gzip
import struct
import tempfile
import zipfile
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from fuzzing.dicom_seeds import dicom_files, study_files
from fuzzing.run_seeds import run_samples
from fuzzing.sample import Sample

LARGEST_SAMPLE_BYTES = 200_000
SAMPLES_PER_FORMAT = 12
_VOXELS = np.random.default_rng(0).integers(0, 1000, (6, 5, 4)).astype(np.int16)
_MEGABYTE = bytes(1 << 20)
_AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
_SUFFIXES = {
    "nifti": (".nii", ".nii.gz", ".mgz"), "nrrd": (".nrrd",), "metaimage": (".mha",), "dicom": (".dcm", ".ima"),
    "png": (".png",), "jpeg": (".jpg", ".jpeg"), "tiff": (".tif", ".tiff"), "bmp": (".bmp",), "csv": (".csv",),
}  # fmt: skip


def seeds() -> list[Sample]:
    """Every seed; formats with many kinds have many."""
    single = {"nifti": nifti_files(), "dicom": {f"{name}.dcm": file for name, file in dicom_files().items()},
              "png": pictures("png"), "jpeg": pictures("jpeg"), "tiff": pictures("tiff"), "bmp": pictures("bmp"),
              "gif": pictures("gif")}  # fmt: skip
    made = [Sample(format_, {name: file}, name) for format_, files in single.items() for name, file in files.items()]
    header, voxels = analyze_pair()
    made += [Sample("nifti", {"x.hdr": header, "x.img": voxels}, name) for name in ("x.hdr", "x.img")]
    made += text_volumes()
    study = study_files()
    manifest = manifest_files()
    return [
        *made,
        Sample("folder", study | {"x.nii": nifti_files()["x.nii"], "photo.png": pictures("png")["L.png"]}, ""),
        Sample("csv", manifest, "data_manifest.csv"),
        Sample("yaml", {"recipe.yaml": recipe_file()}, "recipe.yaml"),
        Sample("zip", {"study.zip": zipped(study)}, "study.zip"),
        Sample("zip", {"volume.zip": zipped({"x.nii.gz": nifti_files()["x.nii.gz"], "p.png": manifest["a.png"]})},
               "volume.zip"),
        spreadsheet(),
        *run_samples(),
    ]  # fmt: skip


def sampled(folder: Path) -> list[Sample]:
    """The smallest files below a folder, a dozen of each format; in a fixed order."""
    files = sorted((path.stat().st_size, str(path), path) for path in folder.rglob("*") if path.is_file())
    found = []
    for format_, suffixes in _SUFFIXES.items():
        fitting = [path for size, name, path in files if name.lower().endswith(suffixes) and size]
        spread = fitting[: 20 * SAMPLES_PER_FORMAT : 20]
        found += [Sample(format_, {path.name: path.read_bytes()}, path.name) for path in spread
                  if path.stat().st_size < LARGEST_SAMPLE_BYTES]  # fmt: skip
    return found


def nifti_files() -> dict[str, bytes]:
    plain = nifti_bytes(nibabel.Nifti1Image)
    color = np.zeros((4, 4, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    scaled = nibabel.Nifti1Image(_VOXELS, _AFFINE)
    scaled.header.set_slope_inter(0.5, 3)
    mgh = nibabel.MGHImage(_VOXELS.astype(np.int32), _AFFINE).to_bytes()
    return {
        "x.nii": plain, "x.nii.gz": gzip.compress(plain, mtime=0), "two.nii": nifti_bytes(nibabel.Nifti2Image),
        "two.nii.gz": gzip.compress(nifti_bytes(nibabel.Nifti2Image), mtime=0), "scaled.nii": scaled.to_bytes(),
        "four.nii": nibabel.Nifti1Image(np.stack([_VOXELS] * 3, -1), _AFFINE).to_bytes(),
        "color.nii": nibabel.Nifti1Image(color, _AFFINE).to_bytes(), "x.mgh": mgh, "x.mgz": gzip.compress(mgh, mtime=0),
    }  # fmt: skip


def nifti_bytes(kind: Any) -> bytes:
    return kind(_VOXELS, _AFFINE).to_bytes()


def analyze_pair() -> tuple[bytes, bytes]:
    pair = nibabel.Nifti1Pair(_VOXELS, _AFFINE)
    files = pair.make_file_map({key: BytesIO() for key in ("header", "image")})
    pair.to_file_map(files)
    return files["header"].fileobj.getvalue(), files["image"].fileobj.getvalue()


def text_volumes() -> list[Sample]:
    """NRRD and MetaImage, whose headers are text; with the voxels inside, packed, and in a file beside."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(_VOXELS)
    image.SetSpacing((1.0, 2.0, 3.0))
    found = []
    kinds = (
        ("nrrd", "x.nrrd", False), ("nrrd", "packed.nrrd", True), ("nrrd", "x.nhdr", False),
        ("metaimage", "x.mha", False), ("metaimage", "packed.mha", True), ("metaimage", "x.mhd", False),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        for format_, file, compressed in kinds:
            folder = Path(name) / file.replace(".", "_")
            folder.mkdir()
            SimpleITK.WriteImage(image, str(folder / file), useCompression=compressed)
            found.append(Sample(format_, {path.name: path.read_bytes() for path in folder.iterdir()}, file))
    return found


def pictures(kind: str) -> dict[str, bytes]:
    """Every color mode and way of packing of a format."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 4)).astype(np.uint8)
    noise[4:20, 4:20] = 90
    whole = Image.fromarray(noise)
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    modes = {mode: whole.convert("RGB").convert(mode) for mode in ("1", "L", "P", "RGB", "CMYK")} | {
        "RGBA": whole, "deep": deep, "float": Image.fromarray(noise[..., 0].astype(np.float32)),
    }  # fmt: skip
    kinds: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "png": [(mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA", "deep")],
        "jpeg": [("L", {}), ("RGB", {}), ("CMYK", {}), ("RGB", {"progressive": True})],
        "tiff": [(mode, {}) for mode in ("1", "L", "P", "RGB", "deep", "float")]
        + [("L", {"compression": how}) for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits")]
        + [("1", {"compression": "group4"}), ("RGB", {"compression": "jpeg"})],
        "bmp": [(mode, {}) for mode in ("1", "L", "RGB", "RGBA")],
        "gif": [("L", {}), ("P", {"save_all": True, "append_images": [modes["P"].rotate(90)]})],
    }
    files = {}
    for mode, how in kinds[kind]:
        buffer = BytesIO()
        modes[mode].save(buffer, kind, **how)
        files[f"{'-'.join([mode, *map(str, list(how.values())[:1])])[:20].split('[')[0]}.{kind}"] = buffer.getvalue()
    return files


def manifest_files() -> dict[str, bytes]:
    header = "row_id,dataset,patient_id,image_path,mask_path,split,label,spacing_mm_0,age_years,source,seed"
    rows = [f"r{number},own,p{number},{name}.png,a.png,train,benign,0.5,70,real," for number, name in enumerate("ab")]
    picture = pictures("png")["L.png"]
    return {"data_manifest.csv": "\n".join([header, *rows, ""]).encode(), "a.png": picture, "b.png": picture}


def spreadsheet() -> Sample:
    """The table of PH2, with the pictures that it names."""
    from openpyxl import Workbook

    book = Workbook()
    lines = ["Image Name", "Common Nevus", "Atypical Nevus", "Melanoma", "Asymmetry"], ["IMD002", "X", None, None, 0], [
        "IMD003", None, None, "X", 0]  # fmt: skip
    for line in lines:
        book.worksheets[0].append(line)
    buffer = BytesIO()
    book.save(buffer)
    images = {f"{name}/{name}{part}.png": b"" for name in ("IMD002", "IMD003") for part in ("", "_lesion")}
    table = "PH2_dataset.xlsx"
    return Sample("spreadsheet", images | {table: buffer.getvalue()}, "", changed=(table,))


def recipe_file() -> bytes:
    return (
        b"dataset: phantom\nseed: 3\ndata:\n  image_size: 32\nnetwork:\n  channels: [32, 64]\ntraining:\n  steps: 10\n"
    )


def zipped(files: dict[str, bytes], **how: Any) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", **{"compression": zipfile.ZIP_DEFLATED} | how) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo("x")  # a fixed date, so that a seed gives the same bytes every time
            entry.filename, entry.compress_type = name, archive.compression
            archive.writestr(entry, content)
    return buffer.getvalue()


def gzip_of_zeros(start: bytes, zeros: int) -> bytes:
    """A gzip file of ``start`` and many zeros, made without holding them (RFC 1952)."""
    checksum = zlib.crc32(start)
    for _ in range(zeros >> 20):
        checksum = zlib.crc32(_MEGABYTE, checksum)
    size = (len(start) + zeros) & 0xFFFFFFFF
    return b"\x1f\x8b\x08" + bytes(7) + deflated(start, zeros >> 20) + struct.pack("<II", checksum, size)


def deflated(start: bytes, megabytes: int) -> bytes:
    """Raw deflate of ``start`` and zeros; blocks between full flushes know nothing of each other, so one serves all."""
    ends = b"\x03\0"
    return _flushed(start) + _flushed(_MEGABYTE) * megabytes + ends


@lru_cache(maxsize=4)
def _flushed(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
