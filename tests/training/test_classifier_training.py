import numpy as np
import pytest
import torch

from meddiff.batches.images import Images
from meddiff.cache.image_array import ImageArray
from meddiff.errors import InputError
from meddiff.manifest.row import ManifestRow
from meddiff.networks.classifier import build_classifier
from meddiff.networks.initialization import seeded
from meddiff.training.apply import features, predict
from meddiff.training.optimization import Optimization
from meddiff.training.study_classifier import class_batches, train_classifier
from tests.training import toy

NAMES = ("left", "middle", "right")


SIDE = 2 * toy.SIDE


def images(count=60, seed=0):
    """Toy images as they come from the cache: the class is the place of a bright square, plus noise."""
    batch = toy.batches(seed, 0, size=count)
    pixels = ((batch.image.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).numpy()
    pixels = pixels.repeat(2, axis=2).repeat(2, axis=3)
    rows = tuple(row(f"{seed}-{number}", NAMES[label]) for number, label in enumerate(batch.label.tolist()))
    return Images(ImageArray(images=pixels, masks=None, rows=rows, skipped=()), NAMES)  # type: ignore[arg-type]


def row(name, label):
    known = dict.fromkeys(field for field in ManifestRow.__dataclass_fields__ if field != "root")
    return ManifestRow(
        **known | {"row_id": name, "dataset": "toy", "image_path": f"{name}.png", "label": label, "source": "phantom"}
    )


def network(name="resnet18"):
    with seeded(0):
        width = 0.125 if name == "resnet18" else 1.0
        return build_classifier(name, in_channels=1, num_classes=3, image_size=SIDE, width=width)


def trained_on(shown, network, *, steps, seed=1, learning_rate=3e-3, **settings):
    optimization = Optimization(steps, learning_rate, weight_decay=0.01, decay="cosine_from_first")
    batches = class_batches(shown, batch_size=16, seed=seed)
    return train_classifier(network, batches, optimization, seed=seed, precision="32", **settings)


def test_it_learns_held_out_images():
    trained = trained_on(images(), network(), steps=30)
    held_out = images(seed=1)
    probabilities = predict(trained, held_out, batch_size=16)
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (probabilities.argmax(1) == held_out.labels).mean() > 0.95
    assert not trained.training


def test_the_same_arguments_give_the_same_classifier():
    first, second = (trained_on(images(), network("efficientnet_b0"), steps=2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))  # dropout too
    other = trained_on(images(), network("efficientnet_b0"), steps=2, seed=2)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_it_does_not_touch_the_global_generator():
    before = torch.random.get_rng_state()
    trained_on(images(), network(), steps=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_predictions_and_features_are_in_the_order_of_the_images_whatever_the_batch():
    trained, shown = network(), images(20)
    trained(shown.batch(np.arange(20)).image)  # batch norm has seen something
    large, small = (features(trained, shown, batch_size=size, precision="32") for size in (20, 7))
    assert large.shape == (20, 64)
    np.testing.assert_allclose(large, small, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        logits = trained.head(torch.from_numpy(large)).double()
    np.testing.assert_allclose(
        predict(trained, shown, batch_size=7, precision="32"), torch.softmax(logits, 1).numpy(), rtol=1e-4, atol=1e-6
    )


def test_batches_are_augmented_and_shown():
    seen, shown = [], []

    def augment(batch, generator):
        seen.append(torch.rand((), generator=generator).item())
        return batch

    def bar(steps, total):
        for step in steps:
            yield step
            shown.append((step.step, total))

    trained_on(images(), network(), steps=3, augment=augment, progress=bar)
    assert len(set(seen)) == 3
    assert shown == [(1, 3), (2, 3), (3, 3)]


def test_divergence_is_a_sentence():
    with pytest.raises(InputError, match=r"training of the classifier diverged.*classifier\.learning_rate"):
        trained_on(images(), network(), steps=4, learning_rate=1e30)
