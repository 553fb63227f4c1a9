"""What a recipe may ask of the mathematics beyond the plain model: it trains, draws, and changes what is drawn."""

from dataclasses import replace

import pytest
import torch

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.diffusion.condition import Condition
from meddiff.diffusion.schedule import cosine
from meddiff.errors import InputError
from meddiff.inference.sampling import generate
from meddiff.recipe import Recipe, SegmentRecipe
from meddiff.training.fabric import build_fabric
from meddiff.training.facts import Facts, differences
from meddiff.training.objectives import draw_noise
from tests.contracts import wake

CLASSES = ["dark", "light"]
FABRIC = {"precision": "32", "accelerator": "cpu"}


def recipe(**parts):
    """A small recipe with some settings of its parts replaced."""
    plain = Recipe()
    plain = replace(plain, network=replace(plain.network, channels=(32, 32), attention_levels=0))
    for name, settings in parts.items():
        plain = replace(plain, **{name: replace(getattr(plain, name), **settings)})
    return plain


def drawn(wanted):
    """Two images of an untrained network that does not output zero."""
    model = build.new_model(wanted, build.DIFFUSION, 1, CLASSES)
    wake(model.network)
    fabric = build_fabric(**FABRIC)
    ready = model.ready(model.network.requires_grad_(False).eval(), fabric)
    task = build.task(wanted, channels=1, num_classes=2)
    how = {
        "told": Condition(label=torch.tensor([0, 1])),
        "seeds": [1, 2],
        "shape": (1, 8, 8),
        "batch_size": 2,
        "device": fabric.device,
    }
    return torch.cat(list(generate(ready, task, build.sampling(wanted), **how)))


PLAIN = {"sampler": "ddpm", "guidance": 1.0, "steps": 3}
ASKED = {
    "learned variance": {"diffusion": {"learned_variance": True}, "synthesis": PLAIN},
    "self-conditioning": {"diffusion": {"self_condition": True}, "synthesis": {"steps": 3}},
    "log-normal times": {"training": {"times": "log_normal"}, "synthesis": {"steps": 3}},
    "times by losses": {"training": {"times": "loss_aware"}, "synthesis": {"steps": 3}},
    "offset noise": {"diffusion": {"offset_noise": 0.1}, "synthesis": {"steps": 3}},
    **{
        f"loss weight {name}": {"diffusion": {"loss_weight": name, "min_snr_gamma": None}, "synthesis": {"steps": 3}}
        for name in build.LOSS_WEIGHTS
    },
    "EDM2": {
        "network": {"name": "edm2", "dropout": 0.1, "checkpointing": True},
        "diffusion": {"prediction": "edm", "min_snr_gamma": None},
        "training": {"times": "log_normal", "decay": "inverse_sqrt"},
        "synthesis": {"steps": 3},
    },
}


@pytest.mark.parametrize("asked", ASKED)
def test_it_trains_and_draws(asked):
    wanted = recipe(**ASKED[asked])
    build.check_names(wanted)
    model = build.new_model(wanted, build.DIFFUSION, 1, CLASSES)
    wake(model.network)
    objective = model.objective(build_fabric(**FABRIC))
    image = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(image=image, label=torch.tensor([0, 1, 0, 1]), mask=None, index=torch.arange(4))
    loss = objective.loss(batch, objective.draw(batch, 1, torch.Generator().manual_seed(0))).mean()
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.network.parameters())
    assert drawn(wanted).isfinite().all()


def test_a_learned_variance_has_a_gradient_of_its_own():
    wanted = recipe(**ASKED["learned variance"])
    model = build.new_model(wanted, build.DIFFUSION, 1, CLASSES)
    wake(model.network)
    objective = model.objective(build_fabric(**FABRIC))
    batch = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), None, torch.arange(2))
    objective.loss(batch, objective.draw(batch, 1, torch.Generator().manual_seed(0))).mean().backward()
    gradient = model.network.body.out[-1].conv.weight.grad
    assert len(gradient) == 2
    assert gradient[1].abs().max() > 0


def test_self_conditioning_shows_half_of_the_samples_an_estimate():
    objective = build.new_model(recipe(**ASKED["self-conditioning"]), build.DIFFUSION, 1, CLASSES).objective(
        build_fabric(**FABRIC)
    )
    batch = Batch(torch.zeros(400, 1, 4, 4), torch.zeros(400, dtype=torch.int64), None, torch.arange(400))
    assert 0.4 < objective.draw(batch, 1, torch.Generator().manual_seed(0))[3].float().mean() < 0.6


def test_log_normal_times_crowd_where_they_are_told_to():
    schedule = cosine(1000)
    t, _ = draw_noise(torch.zeros(2000, 1, 1), 1, schedule, torch.Generator().manual_seed(0), "log_normal")
    alpha, sigma = schedule.at(t, torch.zeros(2000, 1, dtype=torch.float64))
    assert (sigma / alpha).log().median().item() == pytest.approx(-1.2, abs=0.1)


@pytest.mark.parametrize("threshold", ["clip", "dynamic"])
def test_a_threshold_changes_what_strong_guidance_draws(threshold):
    settings = {"steps": 4, "guidance": 30.0}
    free = drawn(recipe(synthesis=settings))
    assert not torch.equal(free, drawn(recipe(synthesis=settings | {"threshold": threshold})))


def test_a_threshold_keeps_every_estimate_in_range():
    wanted = recipe(synthesis={"threshold": "clip", "guidance": 30.0})
    denoiser = build.denoiser(wanted, channels=1, num_classes=2).eval()
    wake(denoiser.network)
    denoise = build.sampling(wanted).denoise(denoiser, Condition(label=torch.tensor([0])))
    with torch.inference_mode():
        assert denoise(9 * torch.ones(1, 1, 8, 8), torch.tensor([900])).abs().max() <= 1


@pytest.mark.parametrize(
    "parts",
    [
        {"synthesis": PLAIN | {"sampler": "ddim"}},
        {"synthesis": PLAIN | {"guidance": 1.5}},
        {"synthesis": PLAIN | {"threshold": "clip"}},
        {"synthesis": PLAIN | {"classifier_guidance": 1.0}},
        {"synthesis": PLAIN, "diffusion": {"self_condition": True}},
    ],
)
def test_a_learned_variance_that_nothing_would_use_is_refused(parts):
    parts = parts | {"diffusion": {"learned_variance": True} | parts.get("diffusion", {})}
    with pytest.raises(InputError, match=r"learned_variance is used by plain ancestral sampling alone"):
        build.check_names(recipe(**parts))


@pytest.mark.parametrize("schedule", ["zero_snr_linear", "zero_snr_cosine", "rectified_flow"])
def test_a_classifier_cannot_guide_where_no_signal_is_left(schedule):
    asked = {"schedule": schedule, "prediction": "velocity" if schedule == "rectified_flow" else "v"}
    with pytest.raises(InputError, match=f"schedule {schedule} leaves none"):
        build.check_names(recipe(diffusion=asked, synthesis={"classifier_guidance": 1.0}))


def test_two_weights_of_the_loss_are_refused():
    with pytest.raises(InputError, match="not both"):
        build.check_names(recipe(diffusion={"loss_weight": "p2"}))


def test_offset_noise_moves_all_pixels_of_an_image_alike():
    batch = Batch(torch.zeros(400, 1, 8, 8), torch.zeros(400, dtype=torch.int64), None, torch.arange(400))

    def noise(strength):
        wanted = recipe(diffusion={"offset_noise": strength})
        objective = build.new_model(wanted, build.DIFFUSION, 1, CLASSES).objective(build_fabric(**FABRIC))
        return objective.draw(batch, 1, torch.Generator().manual_seed(0))[1]

    moved = noise(0.5) - noise(0.0)
    assert torch.allclose(moved, moved[:, :, :1, :1].expand_as(moved), atol=1e-6)
    assert moved[:, 0, 0, 0].std().item() == pytest.approx(0.5, rel=0.1)


def test_older_checkpoints_name_none_of_it_and_are_still_gone_on_with():
    def facts(kind, without):
        model = build.new_model(kind, build.DIFFUSION, 1, ["background", "lesion"])
        values = model.facts.to_dict()
        for part, name in without:
            values["recipe"][part].pop(name, None)
        return Facts.from_dict(values)

    new = [
        ("training", "times"), ("diffusion", "learned_variance"), ("diffusion", "self_condition"),
        ("diffusion", "loss_weight"), ("diffusion", "offset_noise"),
        ("network", "dropout"), ("network", "checkpointing"), ("training", "decay_from"),
    ]  # fmt: skip
    small = replace(SegmentRecipe(), network=replace(SegmentRecipe().network, channels=(32, 32), thin_from=0))
    for kind in (recipe(), small):
        assert differences(facts(kind, new), facts(kind, []), resuming=True) == []
    changed = differences(facts(recipe(), new), facts(recipe(training={"times": "log_normal"}), []), resuming=True)
    assert [phrase.partition(":")[0] for phrase in changed] == ["recipe.training.times"]


def test_a_resumed_step_drops_the_same_features():
    wanted = recipe(network={"name": "edm2", "dropout": 0.5})
    model = build.new_model(wanted, build.DIFFUSION, 1, CLASSES)
    wake(model.network)
    objective = model.objective(build_fabric(**FABRIC))
    batch = Batch(image=torch.zeros(4, 1, 8, 8), label=torch.tensor([0, 1, 0, 1]), mask=None, index=torch.arange(4))

    def losses(seed):
        return objective.loss(batch, objective.draw(batch, 1, torch.Generator().manual_seed(seed)))

    first = losses(1)
    torch.rand(7)  # what the global generator did in between is nothing to it
    assert torch.equal(losses(1), first)
    assert not torch.equal(losses(2), first)


def test_a_setting_that_the_network_does_not_have_is_refused():
    with pytest.raises(InputError, match=r"network.dropout is 0.2, which the network unet does not have: .*edm2"):
        build.check_names(recipe(network={"dropout": 0.2}))
