"""Tables and nested values as what JSON can hold: what is unknown or not finite becomes null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from meddiff.reporting import words


def plain_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One object per row, its keys are the columns; a named index becomes the first."""
    return (frame.reset_index() if frame.index.name else frame).to_dict("records")  # pyright: ignore[reportReturnType]


def plain(value: Any) -> Any:
    """Nested containers, numpy scalars and unknown values as what JSON knows."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if words.is_missing(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` -> ``{"a.b": 1}``."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
