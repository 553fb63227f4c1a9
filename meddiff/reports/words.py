"""Numbers and names as a reader wants them: words for metrics, intervals in brackets, times in minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from meddiff.evaluation.masks.summary import FEW_PATIENTS

TOO_FEW = "(too few to judge)"
"""In the place of an interval."""
ABSENT = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
ACRONYMS = {"auroc", "auprc", "aurc", "fid", "kid", "ece", "id", "iou", "mri", "mib", "n", "nsd", "psnr", "ssim"}
METRICS = {
    "sensitivity_at_90_specificity": "Sensitivity at 90% specificity",
    "specificity_at_that_90": "Specificity reached at the threshold for 90%",
    "sensitivity_at_95_specificity": "Sensitivity at 95% specificity",
    "specificity_at_that_95": "Specificity reached at the threshold for 95%",
}


def in_words(name: str) -> str:
    """Turn ``macro_auroc`` into ``Macro AUROC``: underscores become spaces, known short forms become capitals."""
    if name in METRICS:
        return METRICS[name]
    words = [word.upper() if word in ACRONYMS and len(word) > 1 else word for word in str(name).split("_")]
    text = " ".join(word for word in words if word)
    return text[:1].upper() + text[1:] if text != "n" else text


def is_missing(value: Any) -> bool:
    """Tell whether a value is None, NaN or NaT: what a table shows as a dash and JSON as null."""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def number(value: Any, digits: int = 3, signed: bool = False) -> str:
    """Write a number with a fixed count of decimals, a true minus, and a dash where it is unknown."""
    if is_missing(value):
        return ABSENT
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def significant(value: Any, digits: int = 3) -> str:
    """Write a number with about `digits` significant digits and no exponent between 1e-4 and 1e7."""
    if is_missing(value):
        return ABSENT
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return number(value, 0)
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 7:
        return number(value, max(0, digits - 1 - exponent))
    return f"{value:.{digits - 1}e}".replace("-", MINUS)


def counted(count: int, noun: str) -> str:
    """Write ``1 case`` or ``1,204 cases``."""
    return f"{number(count, 0)} {noun}{'' if count == 1 else 's'}"


def interval(low: Any, high: Any, digits: int = 3, signed: bool = False) -> str:
    """Write ``[0.655, 0.770]``, or nothing where there is no interval."""
    if is_missing(low) or is_missing(high):
        return ""
    return f"[{number(low, digits, signed)}, {number(high, digits, signed)}]"


def interval_of(row: Mapping[str, Any], digits: int = 3, signed: bool = False, prefix: str = "") -> str:
    """Write the interval of a row of a table, or that its patients are too few for one (`FEW_PATIENTS`).

    The row says how many there are as n_groups or n_patients; one that does not is taken as it is.
    """
    text, count = interval(row.get(f"{prefix}low"), row.get(f"{prefix}high"), digits, signed), patients_in(row)
    return TOO_FEW if text and count is not None and count < FEW_PATIENTS else text


def patients_in(row: Mapping[str, Any]) -> int | None:
    """Return how many patients a row of a table is about, where it says so."""
    return row.get("n_groups", row.get("n_patients"))


def p_value(value: Any) -> str:
    """Write three decimals, and ``< 0.001`` below: more would be read as evidence."""
    if is_missing(value):
        return ABSENT
    return number(value) if value >= 0.001 else "< 0.001"


def percent(share: Any) -> str:
    """Write a share of 1 as ``1.4%``."""
    return ABSENT if is_missing(share) else f"{100 * float(share):.1f}%"


def duration(seconds: Any) -> str:
    """Write seconds as ``0.8 s``, ``42 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    if is_missing(seconds):
        return ABSENT
    seconds = float(seconds)
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def millions(count: Any) -> str:
    """Write a number of weights as ``22.81 M``; small ones as they are."""
    if is_missing(count):
        return ABSENT
    return f"{float(count) / 1e6:.2f} M" if count >= 10_000 else number(count, 0)


def memory(mebibytes: Any) -> str:
    """Write MiB as ``812 MiB`` or ``12.4 GiB``."""
    if is_missing(mebibytes):
        return ABSENT
    return f"{float(mebibytes):.0f} MiB" if float(mebibytes) < 1024 else f"{float(mebibytes) / 1024:.1f} GiB"


def plain(value: Any) -> str:
    """Write anything else: whole numbers without decimals, others with three significant digits, lists by commas."""
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(entry) for entry in value) or ABSENT
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(entry)}" for key, entry in value.items()) or ABSENT
    if is_missing(value) or value == "":
        return ABSENT
    if isinstance(value, str):
        return value
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value) or (pd.api.types.is_float(value) and float(value).is_integer()):
        return number(value, 0)
    return significant(value) if pd.api.types.is_float(value) else str(value)


def setting(value: Any) -> str:
    """Write a value of the recipe as one would type it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(setting(entry) for entry in value) or ABSENT
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value) or ABSENT
