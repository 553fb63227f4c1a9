"""From noise to x_0: every task's sampling is one walk along a sampler's steps.

Every network call has the same shape: a last, smaller batch is filled up and cut again. Together with noise that
depends on the image's own seed (``diffusion.noise``) this makes an image a function of its seed and label alone:
drawn in another batch, at another place in it, or on its own, it is the same image to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from meddiff.batches.image_attributes import NOTHING, Attributes
from meddiff.diffusion.condition import UNTOLD_LABEL, Condition
from meddiff.diffusion.denoiser import Denoise, Denoiser, bind
from meddiff.diffusion.guidance import classifier_guide, guide, log_probability
from meddiff.diffusion.noise import PerSampleNoise
from meddiff.diffusion.schedule import NoiseSchedule, Spacing
from meddiff.diffusion.self_conditioning import SelfConditioned
from meddiff.errors import InputError
from meddiff.samplers.step import Noise, Step
from meddiff.tasks.generate import GenerateTask
from meddiff.tasks.task import Task


@dataclass(frozen=True)
class Sampling:
    """The search for x_0: the algorithm, its number of steps and where they lie, the guidance scale."""

    sampler: Callable
    steps: int
    guidance: float = 1.0
    spacing: Spacing = "trailing"
    guided: tuple[float, float] = (0.0, 1.0)
    """Shares of T between which the guidance works."""
    rescale: float = 0.0
    """How far guided estimates are brought back to the contrast of the told ones."""
    threshold: Callable[[Denoise], Denoise] | None = None
    """Keeps the estimates of a denoiser in the range of the data."""
    self_condition: bool = False
    """Whether the network is shown its own last estimate."""
    classifier: Denoiser | None = None
    """The classifier of noisy images that guides, where there is one (see `guidance.class_logits`)."""
    classifier_scale: float = 0.0
    """How strongly it does; 1 is Bayes' rule."""

    def denoise(self, denoiser: Denoiser, condition: Condition) -> Denoise:
        """Build what a sampler asks: the denoiser, told its condition, guided, and kept in the range of the data."""
        tell = SelfConditioned if self.self_condition else bind
        T = denoiser.schedule.T
        interval = None if self.guided == (0, 1) else (self.guided[0] * T, self.guided[1] * T)
        both = tell(denoiser, condition), tell(denoiser, condition.untold())
        guided = guide(*both, self.guidance, interval=interval, rescale=self.rescale)
        if self.classifier is not None and condition.label is not None:
            named = log_probability(self.classifier, condition.label)
            guided = classifier_guide(guided, named, denoiser.schedule, self.classifier_scale)
        return guided if self.threshold is None else self.threshold(guided)


@dataclass(frozen=True, repr=False)
class ImageDenoiser:
    """A denoiser of images, with what it draws; called with what is wanted it draws one."""

    denoiser: Denoiser
    """Network, schedule and prediction."""
    class_names: tuple[str, ...]
    """Label k is class_names[k]."""
    shape: tuple[int, ...]
    """(C, *S) of an image; where masks are drawn with it, their digits are its last channels."""
    drawing: Sampling
    """How images are drawn unless something else is asked for."""
    attributes: Attributes = NOTHING
    """What it can be told beside the class."""
    decoded: Callable[[Tensor], Tensor] | None = None
    """What makes images of codes, where codes are drawn; ``shape`` is that of a code then."""

    @property
    def task(self) -> GenerateTask:
        """The task: images, of codes where codes are drawn."""
        return GenerateTask(self.shape[0], self.decoded)

    def __call__(self, label: int | str | None = None, *, seed: int = 0, **values: Any) -> Tensor:
        """Draw one image [C, *S] in [-1, 1] on the CPU, told a class and attributes; what is not told follows the data.

        ``generator("nevus", seed=7, age_years=70, sex="female")``; a function of all that is given.

        Raises:
            InputError: a class or attribute that there is not, or a value that it cannot have.
        """
        told = self.condition([label], [values])
        device = next(self.denoiser.parameters()).device
        settings = {"shape": self.shape, "batch_size": 1, "device": device}
        (image,) = generate(self.denoiser, self.task, self.drawing, told=told, seeds=[seed], **settings)
        return image[0]

    def condition(
        self, labels: Sequence[int | str | None], values: Sequence[Mapping[str, Any]] | Mapping[str, Any] = ()
    ) -> Condition:
        """Return what as many images are drawn by as there are labels.

        Args:
            labels: class of each, by its name or number; None is untold.
            values: of the attributes by name, for each image or for all alike; what is missing is untold.

        Raises:
            InputError: a class or attribute that there is not, or a value that it cannot have.
        """
        each = [values] * len(labels) if isinstance(values, Mapping) else list(values) or [{}] * len(labels)
        if len(each) != len(labels):
            raise InputError(f"{len(labels)} labels and attributes of {len(each)} images: give one of each, or one set")
        numbers = self.attributes.numbers([self.attributes.given(one) for one in each])
        features = self.attributes.features(torch.from_numpy(numbers)) if self.attributes else None
        return Condition(torch.tensor([self._number(label) for label in labels]), attributes=features)

    def _number(self, label: int | str | None) -> int:
        names = self.class_names
        if label is None and self.drawing.classifier is not None:
            raise InputError(f"guidance by a classifier needs a class: give one of {', '.join(names)}")
        if label is None:
            return UNTOLD_LABEL
        if isinstance(label, str) and label in names:
            return names.index(label)
        if isinstance(label, int) and 0 <= label < len(names):
            return label
        raise InputError(f"there is no class {label!r}: use one of {', '.join(names)}, or 0 to {len(names) - 1}")

    def __repr__(self) -> str:
        """Return one line: what is drawn, and how."""
        return f"ImageDenoiser({list(self.shape)}, classes {', '.join(self.class_names)}, {self.drawing.steps} steps)"


def walk(
    denoise: Denoise,
    schedule: NoiseSchedule,
    sampling: Sampling,
    noise: Noise,
    *,
    start: Tensor | None = None,
    share: float = 1.0,
) -> Iterator[Step]:
    """Walk from noise, or from ``start`` noised to a share of the way, to x_0.

    Args:
        denoise: (x_t, t) -> x_0 estimate.
        schedule: that of the denoiser.
        sampling: sampler, steps and their spacing; guidance is a matter of ``denoise``.
        noise: (k) -> the k-th standard normal draw [B, C, *S]; draw 0 is where the walk begins.
        start: [B, C, *S] a clean guess to begin from, where ``share`` is below 1.
        share: of T, where the walk begins.

    Yields:
        A Step after each stride; the last one's ``x`` is the sample.
    """
    times = times_from(schedule, sampling, 1.0 if start is None else share)
    if start is None or share == 1:
        yield from sampling.sampler(denoise, schedule, schedule.start(noise(0)), times, noise)
        return
    eps = noise(0)
    alpha, sigma = schedule.at(torch.full((1,), round(times[0]), device=eps.device), eps)
    yield from sampling.sampler(denoise, schedule, alpha * start + sigma * eps, times, noise)


def times_from(schedule: NoiseSchedule, sampling: Sampling, share: float) -> list[float]:
    """Return the times of a walk that begins at a share of T: those of the whole way, each brought down alike."""
    times = schedule.timesteps(sampling.steps, sampling.spacing)
    first = max(1, round(share * schedule.T))
    return times if first == schedule.T else [t * first / schedule.T for t in times]


@torch.inference_mode()
def generate(
    denoiser: Denoiser,
    task: Task,
    sampling: Sampling,
    *,
    told: Condition,
    seeds: Sequence[int],
    shape: tuple[int, ...],
    batch_size: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Draw images, batch by batch in the order given.

    Args:
        denoiser: the trained denoiser, on ``device``.
        task: decodes what the sampler finds.
        sampling: sampler, steps, guidance.
        told: what each image is drawn by, its class first of all: the condition of as many samples.
        seeds: one seed per image; the same seed and condition give the same image.
        shape: (C, *S) of one image.
        batch_size: images per network call.
        device: where to compute.

    Yields:
        [b, C, *S] float32 in [-1, 1] on the CPU, b = batch_size or less in the last batch.

    Raises:
        ValueError: labels and seeds of different lengths.
    """
    if told.count not in (None, len(seeds)):
        raise ValueError(f"{told.count} labels and {len(seeds)} seeds: every image needs one of each")
    for start in range(0, len(seeds), batch_size):
        places = range(start, min(start + batch_size, len(seeds)))
        missing = batch_size - len(places)
        filled = [*places, *[len(seeds) - 1] * missing]
        condition = told.at(filled).to(device)
        noise = PerSampleNoise([seeds[place] for place in filled], shape, device=device)
        *_, last = walk(sampling.denoise(denoiser, condition), denoiser.schedule, sampling, noise)
        yield task.decode(last.x)[: batch_size - missing].float().cpu()
