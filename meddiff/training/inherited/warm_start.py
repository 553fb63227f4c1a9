"""Fine-tuning: a network that begins with what another one has learned, as far as the two are alike.

The network and what it predicts must be the same; the classes, channels, size and attributes may be others. A weight of
the same place and shape is kept to the bit, the embedding of a class goes with its name, and what has no counterpart is
new, as it is in a training from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from meddiff.errors import InputError
from meddiff.training.facts import Facts

MAY_DIFFER = (
    "attributes", "volume_size", "spacing_mm", "learned_variance", "self_condition", "student_steps", "student_spacing",
)  # fmt: skip
"""Facts of a network that may be others: they decide the shape of single layers, or how a student is asked."""


@dataclass(frozen=True)
class Share:
    """Some of the weights of a network that is fine-tuned: where they come from, and why."""

    where: str
    """Kept or new, and of what."""
    tensors: int
    numbers: int
    why: str = ""


def check_alike(source: Facts, target: Facts, place: str, *, setting: str = "diffusion.start_from") -> None:
    """Refuse weights that mean something else in another network.

    Raises:
        InputError: every difference, and what to do.
    """
    theirs, ours = (
        {name: value for name, value in facts.network.items() if name not in MAY_DIFFER} for facts in (source, target)
    )
    differing = [
        f"network.{name} {theirs.get(name)} (here {ours.get(name)})"
        for name in theirs | ours
        if theirs.get(name) != ours.get(name)
    ]
    differing += [
        f"diffusion.{name} {there} (here {here})"
        for name in ("prediction", "schedule", "timesteps")
        if (there := getattr(source, name)) != (here := getattr(target, name))
    ]
    if differing:
        raise InputError(
            f"{setting} {place} has {', '.join(differing)}: its weights mean nothing in another network. Use "
            "these settings, or start from another run"
        )


def begin_with(network: nn.Module, stored: Mapping[str, Tensor], source: Facts, target: Facts) -> list[Share]:
    """Put stored weights into an untrained network, where they have a place there.

    Args:
        network: untrained, of the ``target`` facts; changed in place.
        stored: the weights of the source by name.
        source, target: what the weights are for there and here.

    Returns:
        Which weights were kept and which are new, with the reason.

    Raises:
        InputError: nothing fits.
    """
    table, axis, first = getattr(network, "LABELS", ("", 0, 0))
    own, kept, new = network.state_dict(), [], []
    for name, tensor in own.items():
        if name == table and name in stored:
            own[name] = _classes_moved(tensor, stored[name], (source.class_names, target.class_names), axis, first)
        elif reason := _misfit(name, tensor, stored, source, target):
            new.append(Share(f"new: {name}", 1, tensor.numel(), reason))
        else:
            own[name] = stored[name].to(tensor)
            kept.append(tensor)
    if not kept:
        raise InputError("diffusion.start_from: not a single weight of it fits the network")
    network.load_state_dict(own)
    known = [one for one in target.class_names if one in source.class_names]
    others = [one for one in target.class_names if one not in source.class_names]
    each = own[table].numel() // own[table].shape[axis] if table in own else 0
    classes = [
        Share(f"{what}: {', '.join(names)}", 1, len(names) * each, why)
        for what, names, why in (
            ("kept: class", known, "of one name there"),
            ("new: class", others, f"there are {', '.join(source.class_names)}"),
        )
        if names and table in own
    ]
    return [Share("kept: all else", len(kept), sum(one.numel() for one in kept) + first * each), *classes, *new]


def _misfit(name: str, tensor: Tensor, stored: Mapping[str, Tensor], source: Facts, target: Facts) -> str:
    """Say why a weight has no counterpart; empty where it has."""
    if name not in stored:
        return "missing there"
    if "attributes" in name.split(".") and source.network.get("attributes") != target.network.get("attributes"):
        return "other attributes"
    if stored[name].shape != tensor.shape:
        return f"{list(stored[name].shape)} there, {list(tensor.shape)} here"
    return ""


def _classes_moved(
    fresh: Tensor, stored: Tensor, names: tuple[tuple[str, ...], tuple[str, ...]], axis: int, first: int
) -> Tensor:
    """Return the embedding of the classes: those of the same name, and the part before the first class, are stored."""
    there, here = names
    pairs = [(place, place) for place in range(first)]
    pairs += [(first + here.index(name), first + there.index(name)) for name in here if name in there]
    moved = fresh.clone().movedim(axis, 0)
    for to, of in pairs:
        moved[to] = stored.movedim(axis, 0)[of]
    return moved.movedim(0, axis).contiguous()
