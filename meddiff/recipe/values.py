"""Settings as values: plain dicts for YAML and JSON and back, by their full names, compared, and held to their ranges.

Works on any frozen dataclass of settings, whose parts are such dataclasses again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from meddiff.errors import InputError
from meddiff.recipe.parts import Range

Kind = TypeVar("Kind")
_logger = logging.getLogger(__name__)


def to_dict(recipe: Any) -> dict[str, Any]:
    """Return a recipe (or one of its parts) as nested plain dicts and lists, ready for YAML and JSON."""
    values = {entry.name: getattr(recipe, entry.name) for entry in fields(recipe)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: to_dict(value) if is_dataclass(value) else value for name, value in plain.items()}


def flat(recipe: Any, prefix: str = "") -> dict[str, Any]:
    """Return ``{"training.steps": 50000, ...}``: every setting under its full name."""
    named: dict[str, Any] = {}
    for entry in fields(recipe):
        value = getattr(recipe, entry.name)
        named |= flat(value, f"{prefix}{entry.name}.") if is_dataclass(value) else {prefix + entry.name: value}
    return named


def from_dict(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Return the inverse of `to_dict`; a setting that is missing has its default.

    A setting that former versions had and that never did anything is left out, with a warning.

    Raises:
        InputError: a setting that there is not.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"a recipe holds settings, this is {str(values)[:80]!r}")
    recipe = _made(kind, as_begun(without_idle(kind, values)))
    annotations = hints(kind)
    for name, value in flat(recipe).items():
        if not _is_of(value, annotations[name]):
            raise InputError(f"{name} is {str(value)[:80]!r}, which is no value of this setting")
    return recipe


def _is_of(value: Any, hint: Any) -> bool:
    """Tell whether a value is of the type that a setting has; whole numbers are numbers."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _is_of(value, inside[0])
    if origin in (Union, UnionType):
        return any(_is_of(value, one) for one in inside)
    if origin is tuple:
        fits = Ellipsis in inside or (isinstance(value, tuple) and len(value) == len(inside))
        return fits and isinstance(value, tuple) and all(_is_of(one, inside[0]) for one in value)
    if hint is type(None):
        return value is None
    if hint in (int, float, str, bool):
        kinds = (int, float) if hint is float else hint
        return isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))
    return True  # a choice: `check` refuses others


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} holds settings, not {str(value)[:80]!r}")
    return value


def as_begun(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a recipe of a former version did without saying so, where the default is another one today.

    A run keeps seeing what it was trained on: slices as the array has them, where it does not say ``data.slices``.
    """
    data = values.get("data")
    return dict(values) if not isinstance(data, Mapping) else {**values, "data": {"slices": "array", **data}}


def _made(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    names = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - names):
        raise InputError(f"unknown settings {', '.join(unknown)}: the recipe was written by another version of meddiff")
    default = kind()
    parts = {}
    for name, value in values.items():
        own = getattr(default, name)
        whole = _made(type(own), _mapping(name, value)) if is_dataclass(own) else value
        parts[name] = tuple(whole) if isinstance(whole, list) else whole
    return kind(**parts)


def without_idle(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings without those that former versions had and that never did anything (``kind.IDLE``)."""
    idle = getattr(kind, "IDLE", {})
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            kept[name] = {key: one for key, one in value.items() if f"{name}.{key}" not in idle}
            dropped = [f"{name}.{key}" for key in value if f"{name}.{key}" in idle]
            if dropped:
                _logger.warning("left out of the recipe: %s, which never did anything", ", ".join(dropped))
        else:
            kept[name] = value
    return kept


def differences(recipe: Any, other: Any) -> dict[str, tuple[Any, Any]]:
    """Return settings in which two recipes differ: ``{"training.steps": (theirs, ours)}``."""
    ours, theirs = flat(recipe), flat(other)
    return {name: (theirs[name], ours[name]) for name in ours if ours[name] != theirs[name]}


def check(recipe: Any) -> None:
    """Refuse a setting outside its range, one that is no choice, and settings that contradict each other.

    Names of alternatives (networks, samplers ...) are checked where they are looked up.

    Raises:
        InputError: the setting, what was got and what is allowed.
    """
    values = flat(recipe)
    for name, (allowed, choices) in limits(type(recipe)).items():
        value = values[name]
        if allowed is not None and value is not None and not _within(value, allowed):
            raise InputError(f"{name} is {value}; allowed is {allowed.low} to {allowed.high}")
        if choices and value not in choices:
            raise InputError(f"{name} is {value!r}; allowed is {', '.join(map(repr, choices))}")
    if hasattr(recipe, "refuse_contradictions"):
        recipe.refuse_contradictions()


@cache
def limits(kind: type) -> dict[str, tuple[Range | None, tuple[Any, ...]]]:
    """Return the range and choices of every setting under its full name, where its annotation has them."""
    bounds: dict[str, tuple[Range | None, tuple[Any, ...]]] = {}
    for name, hint in hints(kind).items():
        origins = list(_inside(hint))
        ranges = [note for note in origins if isinstance(note, Range)]
        choices = [choice for one in origins if get_origin(one) is Literal for choice in get_args(one)]
        if choices and type(None) in origins:
            choices.append(None)
        bounds[name] = ranges[0] if ranges else None, tuple(choices)
    return bounds


@cache
def hints(kind: type, prefix: str = "") -> dict[str, Any]:
    """Return the annotation of every setting under its full name."""
    named: dict[str, Any] = {}
    annotations = get_type_hints(kind, include_extras=True)
    for entry in fields(kind):
        hint = annotations[entry.name]
        named |= hints(hint, f"{prefix}{entry.name}.") if is_dataclass(hint) else {prefix + entry.name: hint}
    return named


def _inside(hint: Any) -> Iterator[Any]:
    """Return an annotation, its notes, and the alternatives of its union."""
    yield hint
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__
        yield from _inside(hint.__origin__)
    elif get_origin(hint) is not Literal:
        for part in get_args(hint):
            yield from _inside(part)


def _within(value: Any, allowed: Range) -> bool:
    return not isinstance(value, str) and allowed.low <= value <= allowed.high
