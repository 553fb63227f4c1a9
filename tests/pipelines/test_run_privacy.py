"""The whole job on tagged DICOM: not a byte of its outputs tells who the patients are."""

import base64
import gzip
import os
import re
import zlib

import numpy as np
import pydicom
import pytest

from meddiff.manifest.table import read_manifest
from meddiff.pipelines import augment
from tests.dicom_series import write_slice
from tests.pipelines.drawn_volumes import RECIPE

COUNT = 12
SHARED = {
    "InstitutionName": "Planted Hospital",
    "InstitutionAddress": "Planted Street 17",
    "ReferringPhysicianName": "Physician^Planted",
    "OperatorsName": "Operator^Planted",
    "StationName": "PLANTSTATION",
    "DeviceSerialNumber": "PLANT-SERIAL-99",
    "StudyDescription": "Planted study description",
    "ProtocolName": "Planted protocol",
    "PatientAddress": "Planted Alley 3",
    "OtherPatientIDs": "PLANTED-OTHER-ID",
    "PatientComments": "planted comment",
}
DATA_URI = re.compile(rb"base64,([A-Za-z0-9+/=]{16,})")
PNG_TEXT = re.compile(rb"[zi]TXt")


STEMS = ["Plantedname", "PLANTED-ID-", "ACC-PLANTED-", "1.2.777.", "Planted private", *SHARED.values()]
"""What every planted name, number and UID begins with; dates are looked for one by one."""


def identity(number: int) -> dict[str, str]:
    """What tells patient ``number``; its dates occur nowhere else."""
    return {
        "PatientName": f"Plantedname{number}^Given{number}",
        "PatientID": f"PLANTED-ID-{number:03d}",
        "PatientBirthDate": f"1901{number + 1:02d}23",
        "AccessionNumber": f"ACC-PLANTED-{number}",
        "StudyDate": f"1987{number + 1:02d}17",
        "StudyInstanceUID": f"1.2.777.1.4242{number:02d}",
        "SeriesInstanceUID": f"1.2.777.2.4343{number:02d}",
        "FrameOfReferenceUID": f"1.2.777.3.4545{number:02d}",
    }


def write_study(root) -> list[str]:
    """Twelve patients of two classes, one series each, with private tags; returns all that must not come out."""
    secrets = list(STEMS)
    lines = ["path,label"]
    for number in range(COUNT):
        folder, known = root / f"s{number:02d}", identity(number)
        folder.mkdir(parents=True)
        for position in range(6):
            known["SOPInstanceUID"] = f"1.2.777.4.46{number:02d}.{position}"
            pixels = np.random.default_rng([number, position]).integers(900, 1100 + 40 * number, (10, 12))
            write_slice(folder / f"{position}.dcm", pixels, (0, 0, 2.0 * position), **SHARED, **known)
            add_private_tag(folder / f"{position}.dcm", f"Planted private {number}")
        secrets += [known["PatientBirthDate"], known["StudyDate"]]
        lines.append(f"s{number:02d},{'ab'[number % 2]}")
    (root / "labels.csv").write_text("\n".join(lines))
    return secrets


def add_private_tag(file, text: str) -> None:
    """A private block with a text, as scanners write them."""
    dataset = pydicom.dcmread(file)
    dataset.private_block(0x0099, "PLANTED CREATOR", create=True).add_new(0x01, "LO", text)
    dataset.save_as(file)


def unpacked(content: bytes) -> bytes:
    """A file's bytes, and whatever is packed in them: gzip, pictures in pages, texts in PNG."""
    parts = [content]
    if content[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(content))
    for packed in DATA_URI.findall(content):
        parts.append(unpacked(base64.b64decode(packed)))
    for start in (match.end() for match in PNG_TEXT.finditer(content)):
        name, _, rest = content[start : start + 100_000].partition(b"\0")
        parts += [name, zlib.decompressobj().decompress(rest[1:]) if rest[1:2] == b"\x78" else b""]
    return b"\n".join(parts)


def named_in(folder, secrets) -> list[str]:
    """``secret in file`` for each planted value that comes out, in a name or in any encoding."""
    found = []
    for file in sorted(folder.rglob("*")):
        content = os.fsencode(file.name) + (unpacked(file.read_bytes()) if file.is_file() else b"")
        lower = content.lower()
        found += [
            f"{secret} in {file}"
            for secret in secrets
            if any(secret.lower().encode(code) in lower for code in ("utf-8", "utf-16-le", "utf-16-be"))
        ]
    return found


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A finished run with its cache, and what was planted."""
    place = tmp_path_factory.mktemp("privacy")
    secrets = write_study(place / "study")
    recipe = RECIPE.replace("nifti_folder", "dicom_folder").replace("[real, real_classical, ", "[real, ")
    (place / "recipe.yaml").write_text(recipe)
    words = [f"--config={place}/recipe.yaml", f"--data-root={place}/study", f"--data.cache={place}/all/cache"]
    assert augment.main([*words, f"--out={place}/all/run"]) == 0
    return place, secrets


def test_the_search_finds_what_is_planted(outputs):
    place, secrets = outputs
    found = named_in(place / "study", secrets)
    assert {line.split(" in ")[0] for line in found} == set(secrets)
    page = b'<img src="data:image/png;base64,' + base64.b64encode(b"x" * 20 + b"Planted Street 17") + b'">'
    packed = place / "packed"
    packed.mkdir()
    (packed / "page.html").write_bytes(page)
    (packed / "volume.nii.gz").write_bytes(gzip.compress(b"PLANTSTATION"))
    assert len(named_in(packed, secrets)) == 2


def test_no_byte_of_a_run_and_its_cache_names_a_patient(outputs):
    place, secrets = outputs
    kinds = {file.suffix for file in (place / "all").rglob("*") if file.is_file()}
    assert {".csv", ".json", ".html", ".yaml", ".png", ".gz", ".safetensors", ".bin"} <= kinds
    assert not named_in(place / "all", secrets)


def test_patients_are_numbered_and_told_apart(outputs):
    place, _ = outputs
    rows = read_manifest(place / "all" / "run" / "manifest.csv", root=place / "study")
    assert sorted(str(row.patient_id) for row in rows) == [f"patient_{number:04d}" for number in range(1, COUNT + 1)]
    drawn = read_manifest(place / "all" / "run" / "synthetic_manifest.csv")
    assert all(row.patient_id is None for row in drawn)
