"""Facts of a set of weights: what they are for, stored beside them, compared before they are used."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from typing import Any

from meddiff.diffusion.schedule import NoiseSchedule
from meddiff.errors import InputError

PACKAGES = ("torch", "monai", "lightning-fabric", "safetensors", "numpy")


def installed_versions() -> dict[str, str]:
    """Return versions of Python and of the packages that the weights depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def schedule_digest(schedule: NoiseSchedule) -> str:
    """Return a short hash of the two tables, rounded to 8 decimals: math libraries differ in the last bits."""
    tables = [f"{value:.8f}" for table in (schedule.alpha, schedule.sigma) for value in table.tolist()]
    return hashlib.sha256(" ".join(tables).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Facts:
    """All that a denoiser's weights mean something for."""

    class_names: tuple[str, ...]
    """Label k is class_names[k]."""
    image_size: int
    """Shortest side in pixels."""
    channels: int
    """Channels of the image."""
    network: Mapping[str, Any]
    """Name and settings of the network."""
    schedule: str
    """Name of the noise schedule."""
    timesteps: int
    """T."""
    schedule_digest: str
    """Hash of the schedule's tables."""
    prediction: str
    """What the network outputs."""
    data_range: tuple[float, float] = (-1.0, 1.0)
    """Range of x_0."""
    pixel_dtype: str = "uint8"
    """Integer type of the images that x_0 was made from, and that samples are saved as."""
    manifest_sha256: str = ""
    """Hash of the manifest trained on; for the record."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """All settings of the run; for the record."""
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    """Versions of Python and packages; for the record."""
    fine_tuned_from: str = ""
    """Short hash of the weights that training began with; for the record. Empty of a training from scratch."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values; without what a training from scratch does not have."""
        values = _plain(asdict(self))
        return values if self.fine_tuned_from else {n: one for n, one in values.items() if n != "fine_tuned_from"}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Facts:
        """Return the inverse of `to_dict`.

        Raises:
            InputError: a field is missing or unknown.
        """
        known = {entry.name for entry in fields(Facts)}
        if odd := (known ^ set(values)) - {"fine_tuned_from"}:
            odd = ", ".join(sorted(odd))
            raise InputError(f"the checkpoint was written by another version of meddiff: fields that differ: {odd}")
        for name, kind in _KINDS.items():
            if not isinstance(values.get(name, ""), kind):
                raise InputError(f"the checkpoint is damaged: its {name} is {str(values.get(name))[:80]!r}")
        if not all(isinstance(name, str) for name in values["class_names"]):
            raise InputError("the checkpoint is damaged: names of classes are texts")
        tuples = {name: tuple(values[name]) for name in ("class_names", "data_range")}
        return Facts(**{**values, **tuples})


_KINDS: dict[str, type | tuple[type, ...]] = {
    "class_names": (list, tuple), "image_size": int, "channels": int, "network": Mapping, "schedule": str,
    "timesteps": int, "prediction": str, "data_range": (list, tuple), "pixel_dtype": str, "recipe": Mapping,
    "fine_tuned_from": str,
}  # fmt: skip
FOR_THE_RECORD = ("manifest_sha256", "recipe", "versions", "fine_tuned_from")
MADE_OF = (
    "recipe.seed",
    "recipe.data",
    "recipe.dimensions",
    "recipe.volume",
    "recipe.network.dropout",
    "recipe.diffusion",
    "recipe.losses",
    "recipe.training",
)
"""The settings that weights are a function of, beside the facts themselves and the manifest."""
MAY_CHANGE = (
    "recipe.data.cache",
    "recipe.diffusion.latent",
    "recipe.training.steps",
    "recipe.training.learning_rate",
    "recipe.training.warmup_steps",
    "recipe.training.clip_norm",
    "recipe.training.precision",
    "recipe.training.compile",
    "recipe.training.deterministic",
    "recipe.training.log_every",
    "recipe.training.checkpoint_every",
    "recipe.training.sample_every",
)
"""Settings that a run may go on with changed: how long, what is written, and what cures a run that diverged."""


SHARES_OF_A_STEP = tuple(f"recipe.training.{name}" for name in ("batch_size", "accumulate", "devices", "nodes"))
"""Settings that a run may go on with changed together, where a step has as many images as before."""
BEFORE = {
    "recipe.training.nodes": 1,
    "recipe.diffusion.start_from": "",
    "recipe.training.times": "even",
    "recipe.training.decay_from": 1000,
    "recipe.training.deterministic": False,
    "recipe.network.dropout": 0.0,
    "recipe.diffusion.learned_variance": False,
    "recipe.diffusion.self_condition": False,
    "recipe.diffusion.loss_weight": "simple",
    "recipe.diffusion.offset_noise": 0.0,
    "recipe.diffusion.attributes": [],
    "recipe.diffusion.attribute_dropout": 0.1,
    "recipe.diffusion.teacher": "",
    "recipe.diffusion.teacher_strides": 8,
    "recipe.diffusion.latent": "",
}
"""Settings that older checkpoints do not name, with what was done then."""


def differences(stored: Facts, wanted: Facts, *, resuming: bool = False) -> list[str]:
    """Return one phrase per fact that decides what the weights mean and that is not the same.

    ``resuming`` also compares what training goes on with: the manifest, the seed and the settings of training.
    """
    theirs, ours = (_flat(facts.to_dict()) for facts in (stored, wanted))

    as_large = _images_of_a_step(theirs) == _images_of_a_step(ours)

    def matters(name: str) -> bool:
        if name.partition(".")[0] not in FOR_THE_RECORD:
            return True
        made_of = name in ("manifest_sha256", "fine_tuned_from")
        made_of = made_of or any(f"{name}.".startswith(f"{part}.") for part in MADE_OF)
        return resuming and made_of and name not in MAY_CHANGE and not (name in SHARES_OF_A_STEP and as_large)

    theirs = {name: value for name, value in BEFORE.items() if name in ours} | theirs
    gone = {name for name in theirs if name.startswith("recipe.") and name not in ours}  # they never did anything
    names = [name for name in theirs | ours if matters(name) and name not in gone]
    return [
        f"{name.replace('_', ' ')}: {_shown(theirs, name)} in the checkpoint, {_shown(ours, name)} here"
        for name in names
        if theirs.get(name) != ours.get(name)
    ]


def _images_of_a_step(values: Mapping[str, Any]) -> int:
    return math.prod(values.get(name, 1) for name in SHARES_OF_A_STEP)


def _plain(value: Any) -> Any:
    """Return tuples as lists, mappings as dicts: what JSON gives back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``{"network.channels": ...}``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        full = prefix + name
        flat |= _flat(value, f"{full}.") if isinstance(value, Mapping) else {full: value}
    return flat


def _shown(values: Mapping[str, Any], name: str) -> str:
    return str(values[name]) if name in values else "nothing"
