"""Metrics of sets of images for benchmarks/metrics.py: ours beside scipy, scikit-learn, MONAI and, where installed,
torchmetrics, torch-fidelity, clean-fid and lpips.

The last three import torchvision for their data sets and trained networks, which play no part here: where it is not
installed, an empty stand-in takes its place.
"""

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable
from unittest.mock import MagicMock

import numpy as np
import torch
from monai.metrics import MultiScaleSSIMMetric
from scipy.linalg import sqrtm
from sklearn.metrics import pairwise_distances_argmin_min

from meddiff.metrics.images.copying import memorization_informed_frechet
from meddiff.metrics.images.diversity import mean_square_distance, structural_similarity
from meddiff.metrics.images.fidelity import frechet_distance, kernel_distance
from meddiff.metrics.images.manifold import manifold_scores
from meddiff.metrics.images.memorization import nearest
from meddiff.metrics.images.moments import frechet_distance_of_moments, moments
from meddiff.networks.features.lpips import LpipsEmbedding, _trunk
from meddiff.networks.initialization import seeded

Work = Callable[[], np.ndarray | float]
Group = tuple[str, dict[str, Work]]
STAND_IN = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets",
            "torchvision.models")  # fmt: skip


if importlib.util.find_spec("torchvision") is None:
    for name in STAND_IN:
        sys.modules[name] = MagicMock(__spec__=importlib.machinery.ModuleSpec(name, None), __path__=[])


def installed(name: str) -> bool:
    """Whether a peer is there; tells where it is not."""
    found = importlib.util.find_spec(name) is not None
    if not found:
        print(f"{name} is not installed: left out")
    return found


def features(images: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets with a spectrum that decays as that of real extractors does."""
    generator = np.random.default_rng(0)
    spectrum = np.exp(-6 * np.arange(dimension) / dimension)
    first = generator.normal(size=(images, dimension)) * spectrum
    return first, generator.normal(size=(images, dimension)) * spectrum * 1.1 + 0.05


def frechet(images: int, dimension: int, *, peers: bool) -> Group:
    """From the same features on; means and covariances included."""
    first, second = features(images, dimension)

    def statistics() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return first.mean(0), np.cov(first, rowvar=False), second.mean(0), np.cov(second, rowvar=False)

    def by_sqrtm() -> float:
        mean_1, a, mean_2, b = statistics()
        return np.sum((mean_1 - mean_2) ** 2) + np.trace(a + b) - 2 * np.trace(sqrtm(a @ b)).real

    named: dict[str, Work] = {"scipy sqrtm (as pytorch-fid)": by_sqrtm}
    if installed("torchmetrics"):
        from torchmetrics.image.fid import _compute_fid

        named["torchmetrics"] = lambda: _compute_fid(*map(torch.from_numpy, statistics())).item()
    if peers and installed("torch_fidelity"):
        from torch_fidelity.metric_fid import fid_statistics_to_metric

        def theirs() -> float:
            mean_1, a, mean_2, b = statistics()
            told = {"mu": mean_1, "sigma": a}, {"mu": mean_2, "sigma": b}
            return next(iter(fid_statistics_to_metric(*told, verbose=False).values()))

        named["torch-fidelity"] = theirs
    if peers and installed("cleanfid"):
        from cleanfid.fid import frechet_distance as clean

        named["clean-fid"] = lambda: clean(*statistics())
    named["meddiff frechet_distance"] = lambda: frechet_distance(first, second)
    named["meddiff, batch by batch (moments)"] = lambda: frechet_distance_of_moments(*map(streamed, (first, second)))
    return f"Frechet distance, 2 x {images:,} images, {dimension:,} features", named


def streamed(values: np.ndarray):
    """Moments from batches of 256, as images arrive."""
    parts = [moments(values[start : start + 256]) for start in range(0, len(values), 256)]
    return sum(parts[1:], parts[0])


def kernel(images: int, dimension: int) -> Group:
    first, second = features(images, dimension)
    named: dict[str, Work] = {}
    if installed("torchmetrics"):
        from torchmetrics.image.kid import poly_mmd

        named["torchmetrics poly_mmd"] = lambda: poly_mmd(torch.from_numpy(first), torch.from_numpy(second)).item()
    named["meddiff kernel_distance"] = lambda: kernel_distance(first, second)[0]
    return f"Kernel distance, 2 x {images:,} images, {dimension:,} features", named


def manifold(images: int, dimension: int) -> Group:
    first, second = features(images, dimension)
    named: dict[str, Work] = {}
    if installed("torch_fidelity"):
        from torch_fidelity.metric_prc import calculate_precision_recall_full

        tensors = torch.from_numpy(second), torch.from_numpy(first)  # what is judged comes first there
        named["torch-fidelity"] = lambda: np.array(calculate_precision_recall_full(*tensors))

    def ours() -> np.ndarray:
        scores = manifold_scores(first, second, neighbors=3)
        return np.array([scores.precision, scores.recall])

    named["meddiff manifold_scores (density, coverage too)"] = ours
    return f"Precision and recall, 2 x {images:,} images, {dimension:,} features", named


def memorization(images: int, dimension: int) -> Group:
    first, _ = features(images, dimension)
    copies = first + 0.05 * np.random.default_rng(1).normal(size=first.shape) * first.std(0)
    named: dict[str, Work] = {}
    if installed("torchmetrics"):
        from torchmetrics.image.mifid import _mifid_compute

        def theirs() -> float:
            told = [
                part for values in (copies, first) for part in (values.mean(0), np.cov(values, rowvar=False), values)
            ]
            return _mifid_compute(*map(torch.from_numpy, told)).item()

        named["torchmetrics"] = theirs
    named["meddiff memorization_informed_frechet"] = lambda: memorization_informed_frechet(first, copies)
    return f"MiFID of near-copies, 2 x {images:,} images, {dimension:,} features", named


def neighbors(queries: int, references: int, dimension: int) -> Group:
    generator = np.random.default_rng(0)
    first = generator.random((queries, dimension), dtype=np.float32)
    second = generator.random((references, dimension), dtype=np.float32)
    return f"Nearest of {references:,} for {queries:,}, {dimension:,} values", {
        "scikit-learn pairwise_distances_argmin_min": lambda: pairwise_distances_argmin_min(first, second)[1],
        "meddiff nearest": lambda: nearest(first, second)[0],
    }


def similarity(images: int, side: int) -> Group:
    generator = np.random.default_rng(0)
    first = generator.random((images, 3, side, side), dtype=np.float32)
    second = np.clip(first + 0.1 * generator.normal(size=first.shape), 0, 1).astype(np.float32)
    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0)
    tensors = torch.from_numpy(first), torch.from_numpy(second)
    named: dict[str, Work] = {"MONAI": lambda: metric(*tensors).numpy().ravel()}
    if installed("torchmetrics"):
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as theirs

        named["torchmetrics (pads the borders)"] = lambda: theirs(*tensors, data_range=1.0, reduction="none").numpy()
    named["meddiff structural_similarity"] = lambda: structural_similarity(first, second, data_range=1.0)
    return f"MS-SSIM, {images} pairs of 3 x {side} x {side}", named


def perceptual(images: int, side: int, folder: str) -> Group:
    """Random weights: the arithmetic is what counts."""
    with seeded(0):
        trunk = _trunk()
        heads = {f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate((64, 192, 384, 256, 256))}
        pictures = torch.rand(images, 3, side, side) * 2 - 1
    torch.save({f"features.{name}": value for name, value in trunk.state_dict().items()}, f"{folder}/trunk.pth")
    torch.save(heads, f"{folder}/heads.pth")
    network = LpipsEmbedding(f"{folder}/trunk.pth", f"{folder}/heads.pth")
    named: dict[str, Work] = {}
    if installed("lpips"):
        import torchvision

        torchvision.models.alexnet = lambda **_: types.SimpleNamespace(features=network.layers)
        from lpips import LPIPS

        metric = LPIPS(net="alex", pnet_rand=True, model_path=f"{folder}/heads.pth", verbose=False)
        first, second = torch.combinations(torch.arange(images)).T

        def theirs() -> float:
            with torch.no_grad():
                return metric(pictures[first], pictures[second]).mean().item()

        named["lpips, pair by pair"] = theirs
    named["meddiff LpipsEmbedding + mean_square_distance"] = lambda: mean_square_distance(
        network.features(pictures).numpy()
    )
    return f"Mean LPIPS of all pairs of {images} images, 3 x {side} x {side}", named
