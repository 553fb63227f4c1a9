"""Every real volume at hand: read right, by the word of another library or a reference file, or refused by name.

The table of what became of each file is part of the output.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from rich.console import Console
from rich.table import Table

from meddiff.errors import InputError
from meddiff.formats.open import load_volume
from meddiff.formats.volume import Volume

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Case:
    """A file or folder below shared/data/dicom, and what must become of it."""

    path: str
    reference: str | None = None
    """A NIfTI to agree with; None asks SimpleITK about every single file."""
    refused: str | None = None
    """Words of the refusal."""
    shape: tuple[int, ...] | None = None
    shift: tuple[float, float, float] = (0, 0, 0)
    """Voxels by which the reference is known to be displaced."""


def reference(path: str, **known) -> Case:
    return Case(path, reference=f"{path}_ground_truth.nii.gz", **known)


# parrec2nii made these references of PAR files and put the corner of the first voxel where DICOM has its center
BALLS = {"shift": (-0.5, -0.5, 0.0)}
DICOM2NIFTI = "dicom2nifti/"
CASES = [
    Case("brain-studies/Study1/13_HCropVolume", shape=(35, 51, 32)),
    Case("brain-studies/Study3/11_HCropVolume", shape=(34, 50, 40)),
    Case("brain-studies/Study3/11-T1post-18670", shape=(280, 320, 22)),
    Case("brain-studies/Study3/36468-FLAIRreg-58706", shape=(280, 320, 22)),
    reference(DICOM2NIFTI + "ge/anatomical/001"),
    Case(DICOM2NIFTI + "ge/anatomical/001_implicit", shape=(256, 256, 4)),
    Case(DICOM2NIFTI + "ge/anatomical/001_single_slice", shape=(256, 256, 1)),
    Case(DICOM2NIFTI + "ge/dti/002", shape=(64, 64, 4, 4)),
    reference(DICOM2NIFTI + "generic/anatomical/001"),
    reference(DICOM2NIFTI + "generic/anatomical/001_implicit"),
    reference(DICOM2NIFTI + "generic/anatomical/002_non_isotropic"),
    reference(DICOM2NIFTI + "generic/compressed/001"),
    reference(DICOM2NIFTI + "generic/compressed_j2k/001"),
    reference(DICOM2NIFTI + "generic/compressed_jpeg/001"),
    reference(DICOM2NIFTI + "generic/compressed_rle/001"),
    reference(DICOM2NIFTI + "generic/rgb/001"),
    reference(DICOM2NIFTI + "hyperfine/anatomical/001"),
    reference(DICOM2NIFTI + "philips/anatomical/001"),
    reference(DICOM2NIFTI + "philips_enhanced/anatomical/001"),
    reference(DICOM2NIFTI + "siemens/anatomical/001"),
    reference(DICOM2NIFTI + "failing/slicecount/001"),
    Case(DICOM2NIFTI + "failing/gantrytilting/001", shape=(512, 512, 4)),
    Case(DICOM2NIFTI + "failing/notavolume/001", refused="same place"),
    Case(DICOM2NIFTI + "failing/sliceincrement/001", refused="slices are missing"),
    Case(DICOM2NIFTI + "failing/sliceorientation/001", refused="2 different orientations"),
    *[Case(f"dcm_qa_ts/In/{number}.dcm", reference="dcm_qa_ts/Ref/1.nii") for number in (1, 2, 3, 4, 6, 7, 9)],
    Case("dcm_qa_ts/In", refused="nothing|neither time nor number"),
    Case("dcm_qa_12bit/In/12bitUnsigned.dcm", reference="dcm_qa_12bit/Ref/2.nii"),
    Case("dcm_qa_12bit/In/12bitUnsigned_0x0F0F.dcm", reference="dcm_qa_12bit/Ref/3.nii"),
    Case("dcm_qa_12bit/In/12bitSigned_0x0F0F.dcm", reference="dcm_qa_12bit/Ref/4.nii"),
    Case("dcm_qa_12bit/In", refused="claim to be the same slice"),
    *[Case(f"WG04/{kind}/{name}_{kind}", shape=(512, 512, 1))
      for kind in ("J2KI", "J2KR", "JLSL", "JPLL", "RLE") for name in ("CT2", "MR1")],
    *[Case(f"WG04/{kind}", refused="there are 2 series") for kind in ("J2KI", "J2KR", "JLSL", "JPLL", "RLE")],
    Case("WG04/JPLY/MR1_JPLY", refused="12-bit JPEG"),
    Case("dicom-ts-issues/20-wrong-transfer-syntax.dcm", shape=(512, 512, 1)),
    Case("dicom-ts-issues/54-implicit-file-meta-info.dcm", shape=(512, 512, 1)),
    Case("dicom-ts-issues", refused="there are 2 series"),
    Case("nitest-balls1/DICOM", refused="there are 5 series"),
    *[Case(f"nitest-balls1/DICOM/{name}.dcm", reference=f"nitest-balls1/NIFTI/{name}.nii.gz", **BALLS)
      for name in ("T1", "T2", "T2-interleaved", "T2_")],
    # its reference is wrong: the slices of magnitude and velocity are mixed, all on the velocity's scale
    Case("nitest-balls1/DICOM/fieldmap.dcm", shape=(80, 80, 10, 2)),
]  # fmt: skip


def corners(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[8, 3] world coordinates of the outermost voxel centers."""
    index = np.array(np.meshgrid(*[(0, size - 1) for size in shape[:3]], indexing="ij")).reshape(3, -1)
    return (affine[:3, :3] @ index + affine[:3, 3:]).T


def canonical(array: np.ndarray, affine: np.ndarray):
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, affine, dtype=array.dtype))
    return np.asanyarray(image.dataobj), image.affine


def agree(volume: Volume, expected: np.ndarray, affine: np.ndarray) -> tuple[float, float]:
    """Largest differences in millimeters at the corners and in relative value, whatever the order of the axes."""
    assert volume.affine is not None
    ours, our_affine = canonical(volume.array, volume.affine)
    theirs, their_affine = canonical(expected, affine)
    assert ours.shape == theirs.shape
    apart = np.linalg.norm(corners(our_affine, ours.shape) - corners(their_affine, theirs.shape), axis=1).max()
    if np.array_equal(ours, theirs):
        return float(apart), 0.0
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    return float(apart), float(np.abs(ours - theirs).max() / max(1e-9, np.abs(theirs).max()))


def by_reference(volume: Volume, file: Path, case: Case) -> tuple[float, float]:
    image = nibabel.load(file)
    expected = np.asanyarray(image.dataobj)
    if expected.dtype.names:
        expected = np.stack([expected[name] for name in "RGB"], axis=-1)
    if expected.ndim > volume.array.ndim:
        expected = expected[..., 0]
    displaced = np.eye(4)
    displaced[:3, 3] = -np.asarray(case.shift)
    return agree(volume, expected, image.affine @ displaced)


def by_simpleitk(volume: Volume, files: list[Path]) -> tuple[float, float]:
    """SimpleITK is told a single file at a time, so it has no series to get wrong."""
    assert volume.affine is not None
    to_index = np.linalg.inv(volume.affine)
    array = volume.array.reshape(*volume.shape, -1)
    apart, wrong, met = 0.0, 0.0, set()
    for file in files:
        image = SimpleITK.ReadImage(str(file))
        values = SimpleITK.GetArrayFromImage(image)[0].T
        points = [
            image.TransformIndexToPhysicalPoint(c)
            for c in ((0, 0, 0), (image.GetWidth() - 1, image.GetHeight() - 1, 0))
        ]
        for point, (i, j) in zip(points, ((0, 0), (values.shape[0] - 1, values.shape[1] - 1)), strict=True):
            index = to_index @ TO_RAS @ [*point, 1.0]
            apart = max(apart, float(np.linalg.norm(volume.affine[:3] @ (index - [i, j, round(index[2]), 1]))))
        k = round(index[2])
        differences = [np.abs(array[:, :, k, n].astype(float) - values).max() for n in range(array.shape[3])]
        met.add((k, int(np.argmin(differences))))
        wrong = max(wrong, min(differences) / np.abs(values).max())
    assert len(met) == len(files) == array.shape[2] * array.shape[3], "every file is one slice, and none is there twice"
    return apart, float(wrong)


def by_frames(volume: Volume, file: Path) -> tuple[float, float]:
    """Each frame of an enhanced file is put to its own position by hand, and found there."""
    assert volume.affine is not None
    dataset = pydicom.dcmread(file)
    to_index = np.linalg.inv(volume.affine)
    apart, wrong, met = 0.0, 0.0, []
    for pixels, group in zip(dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        value = group.PixelValueTransformationSequence[0]
        values = pixels.T * float(value.RescaleSlope) + float(value.RescaleIntercept)
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        index = to_index @ TO_RAS @ [*position, 1.0]
        k = round(index[2])
        apart = max(apart, float(np.linalg.norm(volume.affine[:3] @ (index - [0, 0, k, 1]))))
        differences = [np.abs(volume.array[:, :, k, n] - values).max() for n in range(volume.array.shape[3])]
        met.append((k, int(np.argmin(differences)), group.MRImageFrameTypeSequence[0].FrameType[2]))
        wrong = max(wrong, min(differences) / np.abs(values).max())
    assert len(set(met)) == volume.array.shape[2] * volume.array.shape[3]
    assert {(n, kind) for _, n, kind in met} == {(0, "T1"), (1, "VELOCITY")}
    return apart, float(wrong)


def readable_by_simpleitk(file: Path, folder: Path) -> Path:
    """A copy that SimpleITK reads too, of files whose headers lie about what follows them."""
    dataset = pydicom.dcmread(file, force=True)
    if file.parent.name != "dicom-ts-issues":
        return file
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    pixels = dataset.PixelData
    del dataset.PixelData
    dataset.add_new("PixelData", "OW", pixels)
    dataset.save_as(folder / file.name, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return folder / file.name


@pytest.mark.slow
@pytest.mark.real_data
def test_every_dicom_series_is_read_right_or_refused_by_name(real_data, tmp_path, capsys):
    root, table = real_data / "dicom", Table("path", "what became of it", "mm off", "value off", "notes")
    wrong = []
    for case in CASES:
        path = root / case.path
        try:
            volume = load_volume(path)
        except InputError as error:
            told = str(error).splitlines()[0].partition(": ")[2]
            table.add_row(case.path, "refused", "", "", told)
            if not (case.refused and re.search(case.refused, str(error)) and path.name in str(error)):
                wrong.append(f"{case.path}: refused: {error}")
            continue
        if case.reference:
            apart, off = by_reference(volume, root / case.reference, case)
        elif path.name == "fieldmap.dcm":
            apart, off = by_frames(volume, path)
        else:
            files = [path] if path.is_file() else sorted(path.iterdir())
            apart, off = by_simpleitk(volume, [readable_by_simpleitk(file, tmp_path) for file in files])
        size = "x".join(map(str, volume.array.shape))
        table.add_row(case.path, f"read {size}", f"{apart:.0e}", f"{off:.0e}", "; ".join(volume.notes))
        if case.refused or apart > 2e-3 or off > 1e-6 or (case.shape and volume.array.shape != case.shape):
            wrong.append(f"{case.path}: {size}, {apart} mm, {off}")
    with capsys.disabled():
        Console(width=160).print("\n", table)
    assert not wrong, "\n".join(wrong)


@pytest.mark.real_data
def test_no_series_at_hand_is_left_out(real_data):
    root = real_data / "dicom"
    known = [root / case.path for case in CASES]
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.name.endswith((".nii", ".nii.gz", ".md", "LICENSE")):
            assert any(file == path or file.parent == path for path in known), f"{file} is in no case"


@pytest.mark.real_data
def test_lossless_codecs_decode_to_the_same_pixels(real_data):
    for name in ("CT2", "MR1"):
        arrays = [load_volume(real_data / "dicom" / "WG04" / kind / f"{name}_{kind}").array
                  for kind in ("RLE", "J2KR", "JLSL", "JPLL")]  # fmt: skip
        assert all(np.array_equal(array, arrays[0]) for array in arrays[1:])
        assert len(np.unique(arrays[0])) > 1000


@pytest.mark.slow
@pytest.mark.real_data
def test_every_nifti_is_read_as_simpleitk_reads_it_or_refused_by_name(real_data, capsys):
    folders = ("odd-nifti", "sct_testing_data", "mni152-template", "odd-hippocampus", "brats2015-deepmedic")
    files = [file for folder in folders for file in sorted((real_data / folder).rglob("*.nii*"))]
    files += [file for file in sorted((Path(nibabel.__file__).parent / "tests" / "data").iterdir())
              if file.name.endswith((".nii", ".nii.gz", ".hdr", ".mgz"))]  # fmt: skip
    refused = {
        "S0_10slices.nii.gz": "leans axis 2 by 53 degrees",
        "analyze.hdr": "voxels are missing",
        "nifti1.hdr": "voxels are missing",
        "nifti2.hdr": "voxels are missing",
        "row_major.dconn.nii": "no volume but a Cifti2Image",
        "test.mgz": "leans axis 0 by 56 degrees",
    }
    table, wrong = Table("file", "what became of it", "axes", "mm off", "value off", "notes"), []
    for file in files:
        try:
            volume = load_volume(file)
        except InputError as error:
            table.add_row(file.name, "refused", "", "", "", str(error).partition(": ")[2])
            if refused.get(file.name, "never") not in str(error) or file.name not in str(error):
                wrong.append(str(error))
            continue
        apart, off = by_nifti_reader(volume, file)
        size = "x".join(map(str, volume.array.shape))
        axes = "".join(volume.orientation or "?")
        table.add_row(file.name, f"read {size}", axes, f"{apart:.0e}", f"{off:.0e}", "; ".join(volume.notes))
        if file.name in refused or apart > 1e-2 or off > 1e-6:
            wrong.append(f"{file.name}: {size}, {apart} mm, {off}")
    with capsys.disabled():
        Console(width=160).print("\n", table)
    assert not wrong, "\n".join(wrong)


def by_nifti_reader(volume: Volume, file: Path) -> tuple[float, float]:
    """Compared with SimpleITK; with nibabel where SimpleITK knows no NIfTI-2."""
    if file.name == "example_nifti2.nii.gz":
        image = nibabel.load(file)
        return agree(volume, np.asanyarray(image.dataobj), image.affine)
    image = SimpleITK.ReadImage(str(file))
    axes = image.GetDimension()
    affine = np.eye(4)
    affine[:3, :3] = (np.reshape(image.GetDirection(), (axes, axes)) * image.GetSpacing())[:3, :3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return agree(volume, SimpleITK.GetArrayFromImage(image).T, TO_RAS @ affine)


@pytest.mark.real_data
def test_the_hippocampus_volumes_are_read(real_data):
    for kind in ("imagesTr", "labelsTr"):
        for file in sorted((real_data / "Task04_Hippocampus" / kind).glob("*.nii.gz"))[::10]:
            volume = load_volume(file)
            assert volume.orientation == ("R", "A", "S")
            apart, off = by_nifti_reader(volume, file)
            assert max(apart, off) < 1e-5


def test_every_file_that_pydicom_ships_is_read_or_refused_by_name(capsys):
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    read, refused, nameless = {}, {}, []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            try:
                read[file.name] = load_volume(file)
            except InputError as error:
                nameless += [] if file.name in str(error) else [file]
                refused[file.name] = str(error).partition(": ")[2].partition(". Replace")[0]
    with capsys.disabled():
        table = Table("file", "what became of it")
        for name, volume in read.items():
            table.add_row(name, f"read {volume.array.shape} {volume.array.dtype}")
        for name, reason in refused.items():
            table.add_row(name, reason)
        Console(width=160).print("\n", table)
    assert not nameless
    for twin in ("MR_small_RLE", "MR_small_bigendian", "MR_small_expb", "MR_small_implicit", "MR_small_jp2klossless",
                 "MR_small_jpeg_ls_lossless", "MR_small_padded"):  # fmt: skip
        assert np.array_equal(read[f"{twin}.dcm"].array, read["MR_small.dcm"].array), twin
    assert read["rtdose.dcm"].shape == (10, 10, 15)
    assert read["rtdose.dcm"].spacing_mm == (10.0, 10.0, 5.0)
    stored = pydicom.dcmread(folder / "rtdose.dcm")
    assert np.allclose(
        read["rtdose.dcm"].array, np.moveaxis(stored.pixel_array, (0, 1, 2), (2, 1, 0)) * float(stored.DoseGridScaling)
    )
    assert "missing" in refused["JPEG2000.dcm"]
    assert "no image" in refused["rtstruct.dcm"]
