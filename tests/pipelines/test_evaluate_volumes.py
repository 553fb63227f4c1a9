"""``evaluate images`` on drawn volumes: NIfTI, DICOM series and a manifest; by slices of three planes and in 3D."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.ndimage import gaussian_filter
from torch import nn

from meddiff.errors import InputError
from meddiff.evaluation.images.given import list_volumes
from meddiff.evaluation.images.sets import Space, volume_set
from meddiff.formats.nifti import save_volume
from meddiff.jobs.evaluate.images import run
from meddiff.networks.features.encoder3d import Encoder3D
from meddiff.recipe.commands import EvaluateImages
from tests.dicom_series import write_slice
from tests.formats.volume_files import affine_of

pytestmark = pytest.mark.slow  # 150 volumes are drawn, and four evaluations made of them
SIDE, COUNT = 20, 32


def drawn(generator):
    """An ellipsoid with a bright core somewhere, in noise that is smooth over two voxels: [SIDE, SIDE, SIDE]."""
    grid = np.indices((SIDE,) * 3).reshape(3, -1).T - (SIDE - 1) / 2
    distance = np.linalg.norm(grid / generator.uniform(5, 9, 3), axis=1)
    core = np.linalg.norm(grid - generator.uniform(-3, 3, 3), axis=1) < generator.uniform(1.5, 3)
    noise = gaussian_filter(generator.normal(size=(SIDE,) * 3), 0.6) * 60
    values = np.where(core, 900.0, np.where(distance < 1, 500.0, 0.0)).reshape((SIDE,) * 3)
    return np.where(values > 0, values + noise, 0).astype(np.float32)


def save(folder, volumes, orientation="RAS"):
    folder.mkdir()
    for number, volume in enumerate(volumes):
        save_volume(volume, folder / f"P{number:02d}.nii.gz", affine=affine_of(orientation))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    top = tmp_path_factory.mktemp("volumes")
    generator = np.random.default_rng(0)
    real, honest = ([drawn(generator) for _ in range(COUNT)] for _ in range(2))
    save(top / "real", real)
    save(top / "honest", [volume[::-1, ::-1] for volume in honest], "LPS")  # another way of storing the same
    save(top / "blurred", [gaussian_filter(volume, 1.0) for volume in honest])
    save(top / "collapsed", [honest[0] + np.where(honest[0] > 0, generator.normal(0, 9, honest[0].shape), 0)
                             for _ in honest])  # fmt: skip
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv3d(1, 12, 5, 2), nn.ReLU(), nn.Conv3d(12, 24, 3), nn.ReLU()).eval()
    torch.jit.trace(encoder, torch.zeros(1, 1, SIDE, SIDE, SIDE)).save(top / "encoder.ts")
    return top


def evaluated(folders, name, **settings):
    told = {"real": str(folders / "real"), "synthetic": str(folders / name), "features": "encoder3d",
            "weights": str(folders / "encoder.ts"), "size": SIDE, "splits": 4, "cache": str(folders / "cache"),
            "out": str(folders / f"out-{name}"), "trust_code": True}  # fmt: skip
    report = run(EvaluateImages(**told | settings), Console(width=200, file=io.StringIO()))
    return report, report.quality.set_index("metric")


def test_honest_volumes_show_no_fault_and_are_called_volumes(folders):
    report, quality = evaluated(folders, "honest")
    assert "no fault" in report.headline
    assert list(quality.index)[-1] == "color_distance_levels"
    assert quality["volumes"].all()
    assert quality.loc["frechet_distance", "dimension"] == 24
    assert report.real[0].shape == (SIDE, 3 * SIDE, 3), "three planes side by side"
    text = (folders / "out-honest" / "report.md").read_text()
    assert "20 voxels, pad, linear, after a Gaussian of the wider voxel" in text
    assert "Volumes were brought to 20 by 20 by 20 voxels" in text
    assert json.loads((folders / "out-honest" / "report.json").read_text())["phantom"] is False


@pytest.mark.parametrize(("name", "fault"), [("blurred", "blur"), ("collapsed", "images that repeat each other")])
def test_broken_volumes_are_named(folders, name, fault):
    report, _ = evaluated(folders, name)
    assert fault in report.headline.partition(". ")[0]


def test_copies_of_volumes_are_counted(folders):
    half = folders / "training"
    save(half, [drawn(np.random.default_rng(5)) for _ in range(12)])
    report, _ = evaluated(folders, "training", train=str(half))
    assert report.headline.startswith("The synthetic images show copies of training images")


def test_a_dicom_series_and_a_nifti_file_of_the_same_voxels_are_one_volume(tmp_path, folders):
    values = np.rint(drawn(np.random.default_rng(3))) + 100
    save_volume(
        values.astype(np.float32), tmp_path / "nifti" / "case.nii.gz", affine=affine_of("LPS", (0.25, 0.5, 3.0))
    )
    (tmp_path / "dicom" / "scan").mkdir(parents=True)
    for k in range(SIDE):
        write_slice(tmp_path / "dicom" / "scan" / f"{k}.dcm", values[:, :, k].T, (-10, -20, 30 + 3.0 * k),
                    InstanceNumber=k, RescaleIntercept=0)  # fmt: skip
    network = Encoder3D(folders / "encoder.ts")
    space = Space("encoder3d", "", SIDE, "pad", "")
    sets = [volume_set(list_volumes(str(tmp_path / kind)), network, space, folder=tmp_path / "cache")
            for kind in ("nifti", "dicom")]  # fmt: skip
    assert [part.rows[0].row_id for part in sets] == ["case", "scan/series_7"]
    np.testing.assert_allclose(sets[0].features, sets[1].features, rtol=1e-4)
    np.testing.assert_allclose(sets[0].pixels.astype(float), sets[1].pixels.astype(float), atol=2)


def test_a_manifest_names_volumes_with_their_patients(tmp_path, folders):
    lines = [f"{n},mine,person{n // 2},real/P{n:02d}.nii.gz,real" for n in range(4)]
    (folders / "manifest.csv").write_text("\n".join(["row_id,dataset,patient_id,image_path,source", *lines]) + "\n")
    found = list_volumes(str(folders / "manifest.csv"))
    assert [case.row.group for case in found] == ["person0", "person0", "person1", "person1"]
    assert found[3].read().shape == (SIDE, SIDE, SIDE)


def test_a_program_is_not_run_unless_it_is_trusted(tmp_path, folders, monkeypatch):
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim.bin"
    victim.write_bytes(b"do not touch" * 100)

    class Evil(torch.nn.Module):
        def forward(self, volume: torch.Tensor) -> torch.Tensor:
            torch.from_file("victim.bin", True, 300, dtype=torch.float32).fill_(7.0)
            return volume.flatten(1)[:, :9]

    torch.jit.script(Evil()).save(tmp_path / "evil.ts")
    with pytest.raises(InputError, match=r"evil\.ts, a program that can read and write .*--trust_code"):
        evaluated(folders, "honest", weights=str(tmp_path / "evil.ts"), trust_code=False)
    assert victim.read_bytes() == b"do not touch" * 100


def test_what_is_refused(tmp_path, folders):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    Image.new("L", (32, 32)).save(tmp_path / "pictures" / "one.png")
    with pytest.raises(InputError, match="--real volumes, --synthetic pictures"):
        evaluated(folders, "honest", synthetic=str(tmp_path / "pictures"))
    with pytest.raises(InputError, match="medicalnet takes volumes"):
        evaluated(folders, "honest", features="medicalnet", real=str(tmp_path / "pictures"),
                  synthetic=str(tmp_path / "pictures"))  # fmt: skip
    save(tmp_path / "flat", [np.ones((20, 20, 3), np.float32)])
    with pytest.raises(InputError, match=r"20 x 20 x 3 voxels: a volume has at least 8"):
        evaluated(folders, "honest", synthetic=str(tmp_path / "flat"))
    with pytest.raises(InputError, match="there is no such folder"):
        evaluated(folders, "honest", synthetic=str(tmp_path / "nowhere"))


def test_a_bad_volume_is_left_out_if_told_so_and_named(tmp_path, folders):
    save(tmp_path / "mixed", [drawn(np.random.default_rng(n)) for n in range(14)])
    (tmp_path / "mixed" / "P03.nii.gz").write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"1 of 14 volumes cannot be used: .*P03"):
        evaluated(folders, "mixed", synthetic=str(tmp_path / "mixed"))
    report, quality = evaluated(folders, "mixed", synthetic=str(tmp_path / "mixed"), on_bad_file="skip")
    assert quality["n_synthetic"].unique().tolist() == [13]
    assert "1 synthetic images could not be read and were left out." in report.notes
