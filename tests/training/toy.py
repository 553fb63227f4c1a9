"""A data set that a tiny network learns in seconds: the class is the place of a bright square."""

from dataclasses import replace

import torch

from meddiff.batches.batch import Batch
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.prediction import V
from meddiff.diffusion.schedule import cosine, linear
from meddiff.networks.initialization import seeded
from meddiff.networks.unet import ConditionalUNet
from meddiff.seeds import child_seed
from meddiff.training.fabric import build_fabric, prepare
from meddiff.training.facts import Facts, schedule_digest
from meddiff.training.loop import seeds_of, train
from meddiff.training.objectives import Denoising
from meddiff.training.optimization import Optimization
from meddiff.training.state import build_state

SIDE, CLASSES = 8, 3
NETWORK = {"channels": (16, 32), "residual_blocks": 1, "attention_levels": 1, "head_channels": 16}


class Generate:
    """The generate task, without importing the layer that the loop does not know."""

    def clean(self, batch):
        return batch.image

    def condition(self, batch):
        from meddiff.diffusion.condition import Condition

        return Condition(label=batch.label)

    def decode(self, x_0):
        return x_0


def batches(step, micro, *, size=16):
    """Batch (step, micro), the same one whenever it is asked for."""
    generator = torch.Generator().manual_seed(child_seed(5, step, micro))
    label = torch.randint(0, CLASSES, (size,), generator=generator)
    image = torch.full((size, 1, SIDE, SIDE), -0.8) + 0.05 * torch.randn((size, 1, SIDE, SIDE), generator=generator)
    for row, k in zip(image, label.tolist(), strict=True):
        row[:, :, 3 * k : 3 * k + 2] = 0.8
    return Batch(image=image, label=label, mask=None, index=torch.arange(size))


def denoiser(*, schedule=None, **network):
    schedule = schedule or cosine(100)
    with seeded(0):
        unet = ConditionalUNet(1, 1, num_classes=CLASSES, **NETWORK | network)
    return Denoiser(unet, schedule, V)


class Run:
    """Everything that a training run is made of."""

    def __init__(self, *, seed=3, precision="32", fabric=None, learning_rate=2e-3, times="even", T=100, **settings):
        self.fabric = fabric or build_fabric(precision=precision, accelerator="cpu")
        self.denoiser = denoiser(schedule=cosine(T))
        self.wrapped = prepare(self.denoiser, self.fabric)
        self.optimization = Optimization(0, learning_rate, warmup_steps=4, clip_norm=1.0)
        self.state = build_state(
            self.denoiser.network,
            lambda _: Denoising(self.wrapped, Generate(), 0.1, times=times),
            self.fabric,
            self.optimization,
            ema_decay=0.9,
        )
        self.ema, self.optimizer = self.state.ema, self.state.optimizer
        self.settings = {
            "batches": batches,
            "seeds": seeds_of(seed, self.fabric.global_rank),
        } | settings

    def train(self, steps, **settings):
        """Train to so many steps; settings of `Optimization` and of `train`, before those of the run."""
        settings = self.settings | settings
        own = {name: settings.pop(name) for name in ("clip_norm", "accumulate", "decay") if name in settings}
        return train(self.state, optimization=replace(self.optimization, steps=steps, **own), **settings)

    @property
    def network(self):
        return self.denoiser.network

    def tensors(self):
        """Every number that a resumed run must have alike."""
        state = {f"weights.{key}": value for key, value in self.network.state_dict().items()}
        state |= {f"ema.{key}": value for key, value in self.ema.state_dict().items()}
        for index, part in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{key}": value for key, value in part.items()}
        if self.state.objective.history is not None:
            state |= {f"losses.{key}": value for key, value in self.state.objective.history.state_dict().items()}
        return {key: value.clone() for key, value in state.items()}


def facts(**changed):
    known = {
        "class_names": ("left", "middle", "right"),
        "image_size": SIDE,
        "channels": 1,
        "network": {"name": "unet"} | NETWORK,
        "schedule": "cosine",
        "timesteps": 100,
        "schedule_digest": schedule_digest(cosine(100)),
        "prediction": "v",
    }
    return Facts(**known | changed)


def other_schedule():
    return schedule_digest(linear(100))
