"""The losses of masks: zero where right, steered by their weights, recycled where asked, and learned from."""

from dataclasses import replace

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import X_0, ClassLogits, V
from meddiff.diffusion.schedule import cosine
from meddiff.diffusion.times import LossAwareTimes
from meddiff.formats.masks import IGNORED
from meddiff.networks.initialization import seeded
from meddiff.networks.segmenter import build_segmenter
from meddiff.networks.twin_unet import TwinUNet
from meddiff.tasks.segment import SegmentTask, classes_of, judged
from meddiff.training.fabric import build_fabric, prepare, prepare_network
from meddiff.training.loop import seeds_of, train
from meddiff.training.objectives import MaskDenoising, MaskLoss, Supervised
from meddiff.training.optimization import Optimization
from meddiff.training.state import build_state

SIDE = 16


def blobs(step, micro=0, *, classes=2, size=8):
    """Bright squares on noise; the brightness says which class."""
    generator = torch.Generator().manual_seed(1000 * step + micro)
    image = 0.2 * torch.randn(size, 1, SIDE, SIDE, generator=generator) - 0.5
    mask = torch.zeros(size, 1, SIDE, SIDE, dtype=torch.int64)
    for number in range(size):
        row, column = torch.randint(1, SIDE - 7, (2,), generator=generator).tolist()
        kind = 1 + number % (classes - 1)
        mask[number, 0, row : row + 6, column : column + 6] = kind
        image[number, 0, row : row + 6, column : column + 6] += kind / (classes - 1)
    return Batch(image=image, label=None, mask=mask, index=torch.arange(size))


def denoising(prediction=None, *, num_classes=2, encoding="one_hot", **weights):
    task = SegmentTask(num_classes, encoding=encoding, scale=0.5)
    prediction = prediction or ClassLogits(0.5, encoding == "one_hot")
    with seeded(0):
        network = TwinUNet(
            task.channels,
            task.channels,
            condition_channels=1,
            mask_classes=num_classes,
            channels=(16, 32),
            starts_coarse=isinstance(prediction, ClassLogits) and encoding == "one_hot",
        )
    fabric = build_fabric(precision="32", accelerator="cpu")
    return fabric, MaskDenoising(prepare(Denoiser(network, cosine(100), prediction), fabric), task, **weights)


def test_the_loss_of_the_right_classes_is_nothing():
    classes = torch.randint(0, 3, (2, 5, 5), generator=torch.Generator().manual_seed(0))
    sure = torch.log_softmax(60.0 * torch.nn.functional.one_hot(classes, 3).movedim(-1, 1), dim=1)
    assert MaskLoss()(sure, classes) < 1e-3
    assert MaskLoss()(sure.roll(1, dims=1), classes) > 10
    unsure = torch.full((2, 3, 5, 5), 1 / 3).log()
    torch.testing.assert_close(MaskLoss(dice=0)(unsure, classes), torch.tensor(3.0).log())


def test_an_empty_mask_is_a_case_with_a_finite_loss_that_punishes_false_alarms():
    empty = torch.zeros(2, 4, 4, dtype=torch.int64)
    quiet, loud = (torch.tensor([1 - p, p]).log().view(1, 2, 1, 1).expand(2, 2, 4, 4) for p in (0.01, 0.9))
    assert MaskLoss()(quiet, empty) < MaskLoss()(loud, empty) < 20


@pytest.mark.parametrize("prediction", [ClassLogits(0.5), X_0, V], ids=lambda kind: kind.name)
def test_a_minute_on_blobs_finds_them(prediction):
    fabric, objective = denoising(prediction)
    optimization = Optimization(60, learning_rate=3e-3)
    state = build_state(objective.network.module, lambda _: objective, fabric, optimization, ema_decay=0.9)
    steps = train(state, blobs, optimization, seeds=seeds_of(0))
    losses = [step.loss.item() for step in steps]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.parametrize("encoding", ["one_hot", "bits"])
def test_three_classes_have_a_finite_loss_and_a_gradient_everywhere(encoding):
    _, objective = denoising(num_classes=3, encoding=encoding)
    batch = blobs(0, classes=3)
    with torch.no_grad():  # the last layer starts at zero, and nothing would reach what lies before it
        for parameter in objective.network.module.network.denoiser.head.last.parameters():
            parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    draws = objective.draw(batch, 1, torch.Generator().manual_seed(0))
    loss = objective.loss(batch, draws)
    loss.backward()
    assert loss.isfinite()
    deaf = [
        name for name, weight in objective.network.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert not deaf


def test_recycling_shows_the_networks_own_mask_and_keeps_the_target():
    batch = blobs(0)
    _, always = denoising(recycle=1.0)
    draws = always.draw(batch, 1, torch.Generator().manual_seed(0))
    assert bool(draws[3].all())
    condition = always.denoiser.encode(always.task.condition(batch))
    own = always._recycled(always.task.clean(batch), condition, draws[2], torch.tensor([True] * 4 + [False] * 4))
    assert torch.equal(own[4:], always.task.clean(batch)[4:])
    assert not torch.equal(own[:4], always.task.clean(batch)[:4])
    assert own.abs().unique().tolist() == [0.5]
    assert always.loss(batch, draws).isfinite()


def test_the_coarse_head_counts_by_its_weight():
    batch = blobs(0)
    losses = []
    for weight in (0.0, 1.0):
        _, objective = denoising(coarse=weight)
        losses.append(objective.loss(batch, objective.draw(batch, 1, torch.Generator().manual_seed(0))))
    output = objective.denoiser.encode(objective.task.condition(batch)).features["coarse"]
    coarse = objective.mask(output.log_softmax(1), batch.mask[:, 0])
    torch.testing.assert_close(losses[1] - losses[0], coarse)


def test_a_deterministic_network_learns_by_the_same_trainer():
    fabric = build_fabric(precision="32", accelerator="cpu")
    with seeded(0):
        network = build_segmenter("unet", in_channels=1, num_classes=2, channels=(8, 16))
    optimization = Optimization(60, learning_rate=1e-2)
    state = build_state(
        network, lambda fabric: Supervised(prepare_network(network, fabric)), fabric, optimization, ema_decay=0.9
    )
    steps = train(state, blobs, optimization, seeds=seeds_of(0))
    losses = [step.loss.item() for step in steps]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.parametrize("encoding", ["one_hot", "bits"])
@pytest.mark.parametrize("prediction", [None, X_0, V])
def test_what_nobody_judged_enters_no_loss(prediction, encoding):
    """Whatever the network says there, and whatever class would stand there."""
    if prediction is None and encoding == "bits":
        pytest.skip("class logits have a channel per class")
    _, objective = denoising(prediction, num_classes=3, encoding=encoding, recycle=0.0)
    batch = blobs(0, classes=3)
    rim = torch.zeros_like(batch.mask, dtype=torch.bool)
    rim[:, :, :, 5:9] = True
    ignoring = replace(batch, mask=batch.mask.masked_fill(rim, IGNORED), ignores=True)
    draws = objective.draw(ignoring, 1, torch.Generator().manual_seed(0))
    assert objective.loss(ignoring, draws).isfinite()
    assert not classes_of(ignoring)[rim[:, 0]].any()
    log_p = torch.randn(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).log_softmax(1)
    other = torch.where(rim, log_p.roll(1, dims=1), log_p)
    loss, counted = MaskLoss(), judged(ignoring)
    assert loss(log_p, classes_of(ignoring), counted) == loss(other, classes_of(ignoring), counted)
    assert loss(log_p, classes_of(ignoring), counted) == loss(log_p, classes_of(batch), counted)
    assert loss(log_p, classes_of(batch)) != loss(other, classes_of(batch))
    nothing = torch.zeros_like(counted)
    assert MaskLoss(dice=0)(log_p, classes_of(batch), nothing) == 0


def test_a_batch_that_is_judged_all_over_has_the_loss_of_one_without_marks():
    batch = blobs(0, classes=3)
    log_p = torch.randn(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).log_softmax(1)
    everything = torch.ones(8, SIDE, SIDE, dtype=torch.bool)
    assert judged(batch) is None
    torch.testing.assert_close(MaskLoss()(log_p, classes_of(batch), everything), MaskLoss()(log_p, classes_of(batch)))
    with seeded(0):
        network = build_segmenter("unet", spatial_dims=2, in_channels=1, num_classes=3, channels=(8, 16))
    supervised = Supervised(network)
    ignoring = replace(batch, mask=batch.mask.masked_fill(batch.mask == 2, IGNORED), ignores=True)
    assert supervised.loss(ignoring, ()).isfinite()
    assert supervised.loss(ignoring, ()) != supervised.loss(batch, ())


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("prediction", [ClassLogits(0.5), V], ids=lambda kind: kind.name)
def test_times_by_losses_weigh_each_sample_and_change_nothing_where_all_count_alike(prediction, ignoring):
    batch = blobs(0)
    if ignoring:
        batch.mask[:, :, :3] = IGNORED
        batch = replace(batch, ignores=True)
    _, plain = denoising(prediction)
    _, aware = denoising(prediction, times=LossAwareTimes(100))
    draws = aware.draw(batch, 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(aware.loss(batch, draws), plain.loss(batch, draws))
    aware.history.end_step(lambda losses: losses)
    assert aware.history.seen.sum() == len(batch.image)


def test_a_sample_of_weight_two_is_a_sample_that_is_there_twice():
    classes = torch.randint(0, 3, (3, 5, 5), generator=torch.Generator().manual_seed(0))
    log_p = torch.randn(3, 3, 5, 5, generator=torch.Generator().manual_seed(1)).log_softmax(1)
    judged_here = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(2)) < 0.8
    twice = torch.tensor([0, 1, 1, 2])
    for counted in (None, judged_here):
        of_four = MaskLoss(cross_entropy=0)(log_p[twice], classes[twice], None if counted is None else counted[twice])
        weighed = MaskLoss(cross_entropy=0)(log_p, classes, counted, torch.tensor([1.0, 2.0, 1.0]))
        torch.testing.assert_close(weighed, of_four)
    of_four = MaskLoss(dice=0)(log_p[twice], classes[twice])
    weighed = MaskLoss(dice=0)(log_p, classes, weight=torch.tensor([1.0, 2.0, 1.0]))
    torch.testing.assert_close(weighed * 3, of_four * 4)
