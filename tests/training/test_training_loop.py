import dataclasses

import pytest
import torch

from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.loss import min_snr
from meddiff.diffusion.schedule import cosine
from meddiff.diffusion.times import LossAwareTimes
from meddiff.training import checkpoint
from meddiff.training.divergence import TrainingDiverged, denoiser_diverged
from meddiff.training.fabric import build_fabric, has_bf16, prepare
from meddiff.training.launching import PlainStep, with_draws
from meddiff.training.objectives import Denoising, draw_noise
from meddiff.training.optimization import Optimization
from tests.training import toy


def last(steps):
    """Run a generator of steps to its end; the last of them."""
    return list(steps)[-1]


def assert_identical(first, second):
    assert first.keys() == second.keys()
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert not different


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("by_losses", [False, True])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, precision, by_losses):
    def new():  # of so few noise levels that all have been seen before the run is resumed
        return toy.Run(precision=precision, T=4, times=LossAwareTimes(4)) if by_losses else toy.Run(precision=precision)

    whole = new()
    last(whole.train(12))
    first = new()
    last(first.train(6))
    path = checkpoint.save(tmp_path, 6, first.state, facts=toy.facts())
    second = new()
    done = checkpoint.resume(checkpoint.read(path), second.state)
    if by_losses:
        assert not torch.equal(first.state.objective.history.probabilities(), torch.full((4,), 0.25).double())
    assert last(second.train(12, first_step=done)).step == 12
    assert_identical(whole.tensors(), second.tensors())


def test_another_seed_is_another_run():
    first, second = toy.Run(seed=1), toy.Run(seed=2)
    last(first.train(2))
    last(second.train(2))
    assert not torch.equal(first.network.body.conv_in.conv.weight, second.network.body.conv_in.conv.weight)


def test_training_does_not_touch_the_global_generator():
    before = torch.random.get_rng_state()
    last(toy.Run().train(1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_learns_and_the_label_decides_the_picture():
    run = toy.Run(learning_rate=3e-3)
    losses = [step.loss.item() for step in run.train(120)]
    assert sum(losses[-10:]) < 0.25 * sum(losses[:10])
    x_t, t = torch.randn(toy.CLASSES, 1, toy.SIDE, toy.SIDE), torch.full((toy.CLASSES,), 95)
    with torch.no_grad():
        x_0 = toy.Denoiser(run.ema.network, run.denoiser.schedule, run.denoiser.prediction)(
            x_t, t, Condition(label=torch.arange(toy.CLASSES))
        )
    brightest = x_0.mean((1, 2)).unfold(1, 2, 3).mean(2).argmax(1)
    assert brightest.tolist() == [0, 1, 2]


def test_accumulated_micro_batches_are_one_large_batch():
    run = toy.Run()
    toy_batch = toy.batches(0, 0, size=32)

    def part(micro, size):
        rows = slice(micro * size, (micro + 1) * size)
        return dataclasses.replace(toy_batch, image=toy_batch.image[rows], label=toy_batch.label[rows])

    def gradient(count):
        run.network.zero_grad()
        objective = Denoising(run.wrapped, toy.Generate(), 0.3, min_snr(5.0))
        batches = (part(micro, 32 // count) for micro in range(count))
        step = PlainStep(dataclasses.replace(run.state, objective=objective), Optimization(1, 1.0, accumulate=count))
        loss = step.accumulate(with_draws(objective, batches, count, torch.Generator().manual_seed(0)))
        return loss, [parameter.grad.clone() for parameter in run.network.parameters()]

    loss, whole = gradient(1)
    for count in (2, 4):
        other, parts = gradient(count)
        torch.testing.assert_close(other, loss)
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_the_step_and_reports_the_norm_before_it():
    free, clipped = toy.Run(clip_norm=float("inf")), toy.Run(clip_norm=1e-3)
    norms = [next(iter(run.train(1))).gradient_norm for run in (free, clipped)]
    assert norms[0] == norms[1] > 1e-3
    first_moment = torch.cat([part["exp_avg"].flatten() for part in clipped.optimizer.state.values()])
    torch.testing.assert_close(first_moment.norm() / 0.1, torch.tensor(1e-3), rtol=1e-2, atol=0)  # 1 - beta_1 = 0.1


def test_the_learning_rate_rises_linearly():
    assert [step.learning_rate for step in toy.Run(learning_rate=1e-3).train(6)] == pytest.approx(
        [2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3]
    )


def test_times_cover_the_range_evenly_and_dropping_is_per_sample():
    batch = Batch(image=torch.zeros(250, 1, 2, 2), label=torch.zeros(250).long(), mask=None, index=torch.arange(250))
    thousand = toy.denoiser(schedule=cosine(1000))
    objective = Denoising(thousand, toy.Generate(), 0.1)
    t, eps, keep = objective.draw(batch, 4, torch.Generator().manual_seed(0))
    assert sorted(t.tolist()) == list(range(1, 1001))  # 1000 samples: each time once
    assert t[:250].float().mean() == pytest.approx(500, abs=60)  # a micro-batch sees all of them
    assert 0.87 < keep.float().mean() < 0.93
    assert eps.shape == (1000, 1, 2, 2)
    one = torch.cat(
        [draw_noise(batch.image[:1], 1, cosine(10), torch.Generator().manual_seed(seed))[0] for seed in range(2000)]
    )
    assert one.bincount(minlength=11)[1:].float().div(2000).sub(0.1).abs().max() < 0.03  # uniform on its own


@pytest.mark.parametrize("saved", [False, True])
def test_a_run_that_diverges_stops_with_the_step_and_the_last_good_checkpoint(tmp_path, saved):
    def broken(step, micro):
        batch = toy.batches(step, micro)
        return dataclasses.replace(batch, image=batch.image * (float("inf") if step == 2 else 1))

    run = toy.Run(
        batches=broken, diverged=lambda step: denoiser_diverged(step, checkpoint.latest(tmp_path))
    )  # fmt: skip
    steps = run.train(9)
    done = next(steps).step
    if saved:
        checkpoint.save(tmp_path, done, run.state, facts=toy.facts())
    assert next(steps).step == 2
    kept = "step_00000001" if saved else "No checkpoint yet"
    with pytest.raises(TrainingDiverged, match=f"at step 3 is not finite.*{kept}") as caught:
        next(steps)
    assert caught.value.step == 3
    with pytest.raises(TrainingDiverged):
        checkpoint.save(tmp_path, 3, run.state, facts=toy.facts())
    assert len(list(tmp_path.iterdir())) == saved


def test_augmentation_is_drawn_from_the_step():
    seen = []

    def augment(batch, generator):
        seen.append(torch.rand((), generator=generator).item())
        return batch

    last(toy.Run(augment=augment).train(3))
    last(toy.Run(augment=augment).train(3, first_step=1))
    assert len(set(seen[:3])) == 3
    assert seen[1:3] == seen[3:]


def test_bf16_is_inside_the_network_only():
    fabric = build_fabric(precision="bf16", accelerator="cpu")
    wrapped = prepare(toy.denoiser(), fabric)
    seen = {}
    body = wrapped.network.module.network.body
    body.register_forward_pre_hook(lambda _, args, kwargs: seen.update(t=kwargs["timesteps"]), with_kwargs=True)
    body.conv_in.register_forward_hook(lambda module, args, output: seen.update(convolution=output.dtype))
    t = torch.tensor([99.5, 77.25])
    x_0 = wrapped(torch.randn(2, 1, 8, 8), t, Condition(label=torch.tensor([0, -1])))
    assert seen["convolution"] == torch.bfloat16
    assert torch.equal(seen["t"], t - 1)  # bf16 would make 98.5 of 98.5 + 1/4
    assert x_0.dtype == torch.float32


def test_auto_precision_asks_the_hardware():
    assert build_fabric(accelerator="cpu").strategy.precision.bf16 == has_bf16("cpu")
    assert not build_fabric(precision="32", accelerator="cpu").strategy.precision.bf16
    assert not has_bf16("mps")
