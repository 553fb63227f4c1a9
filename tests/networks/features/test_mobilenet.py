"""Truth: the padding of TensorFlow by pencil, a graph small enough to work out, and real images that differ."""

import json

import numpy as np
import pytest
import torch

from meddiff.errors import InputError
from meddiff.evaluation import ImageFeatures, distances
from meddiff.formats import load_image
from meddiff.networks.features.mobilenet import MobileNetFeatures, _same
from meddiff.sources.isic import ISIC

WEIGHTS = "weights/mobilenet_v2_quant/mobilenet_v2_dequantised.npz"


def test_padding_is_tensorflows():
    assert _same(torch.zeros(1, 1, 4, 5), 3, 2).shape == (1, 1, 5, 7)  # 4 -> 2 outputs need 5; 5 -> 3 outputs need 7
    padded = _same(torch.ones(1, 1, 4, 4), 3, 2)[0, 0]
    assert padded[0, 0] == 1  # nothing above and to the left
    assert padded[-1].sum() == padded[:, -1].sum() == 0
    assert _same(torch.zeros(1, 1, 7, 7), 1, 1).shape == (1, 1, 7, 7)


def tiny(file):
    """One convolution that takes the red channel, clamped at 0.25, plus itself, pooled."""
    weight = np.zeros((1, 3, 1, 1), np.float32)
    weight[0, 0] = 1
    operations = [
        {"op": "CONV_2D", "inputs": [0], "output": 1, "clip": [0, 0.25], "key": "conv00", "stride": 1, "groups": 1},
        {"op": "ADD", "inputs": [1, 1], "output": 2, "clip": [-9, 9]},
        {"op": "AVERAGE_POOL_2D", "inputs": [2], "output": 3, "clip": [-9, 9]},
        {"op": "SOFTMAX", "inputs": [3], "output": 4, "clip": [0, 1]},
    ]
    arrays = {"conv00.weight": weight, "conv00.bias": np.zeros(1, np.float32)}
    np.savez(file, graph_json=json.dumps({"ops": operations}), **arrays)
    return file


def test_the_graph_is_run_as_it_stands(tmp_path):
    network = MobileNetFeatures(tiny(tmp_path / "tiny.npz"))
    image = torch.full((1, 3, 10, 12), -1.0)
    image[:, 0, :, :6] = 1.0  # red: half at (255 - 128) / 128, clamped to 0.25; half at -1, clamped to 0
    assert network.features(image).item() == pytest.approx(2 * 0.25 / 2, abs=0.01)


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="no weights"):
        MobileNetFeatures(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(InputError, match=r"not an \.npz"):
        MobileNetFeatures(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="graph_json"):
        MobileNetFeatures(tmp_path / "other.npz")
    with pytest.raises(InputError, match="1 or 3 channels"):
        MobileNetFeatures(tiny(tmp_path / "tiny.npz")).features(torch.zeros(1, 2, 8, 8))


@pytest.mark.real_data
def test_one_image_alone_and_in_a_batch(real_data):
    network = MobileNetFeatures(real_data / WEIGHTS)
    images = torch.rand(3, 3, 64, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    together = network.features(images)
    assert together.shape == (3, 1280)
    torch.testing.assert_close(network.features(images[1:2]), together[1:2], rtol=1e-4, atol=1e-4)
    gray = images[:, :1]
    torch.testing.assert_close(network.features(gray), network.features(gray.repeat(1, 3, 1, 1)))


@pytest.mark.real_data
@pytest.mark.slow
def test_other_lesions_are_nearer_than_another_hospital(real_data):
    """HAM10000 against other lesions of HAM10000, and against PH2: the second distance must stand out."""
    network = MobileNetFeatures(real_data / WEIGHTS)

    def features(folder, start, step):
        rows = sorted(ISIC.rows(real_data / folder), key=lambda row: row.group)[start::step]
        pictures = [torch.tensor(load_image(row.image_file)).permute(2, 0, 1)[None] / 127.5 - 1 for row in rows]
        values = torch.cat([network.features(picture) for picture in pictures]).numpy()
        return ImageFeatures(values, np.array([row.group for row in rows]))

    ham, held_out, ph2 = features("HAM10000", 0, 80), features("HAM10000", 40, 80), features("PH2", 0, 1)
    held_out = held_out.chosen(~np.isin(held_out.group_of_each, ham.group_of_each))
    table = distances(ham, ph2, held_out)
    kernel = table[table.metric == "kernel_distance"].set_index("comparison")
    shift, baseline = kernel.loc["real against synthetic"], kernel.loc["real against held-out real"]
    assert shift.low > max(baseline.high, 0)
