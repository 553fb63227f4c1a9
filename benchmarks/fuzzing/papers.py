"""What an enemy writes into the papers of a run: other values in JSON, YAML and CSV, other tensors in safetensors."""

from __future__ import annotations

import csv
import hashlib
import json
import struct
from functools import lru_cache
from io import StringIO
from typing import Any

import numpy as np
import yaml

from fuzzing.mutations import ANY, Mutation
from fuzzing.sample import Sample

_NUMBERS = (0, 1, -1, 2, 3.7, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 2**31, 2**63, -(2**63), 10**30)
_TEXTS = ("", "x", "nan", "\x1b[2J\x1b]0;evil\x07", "=cmd|' /C calc'!A0", "../../elsewhere/evil", "/dev/zero", "~",
          "\0", "x" * 100_000, "\u202egpj", "<script>alert(1)</script>", "None", "a\nb", "a,b", "\ud800", "run",
          "unet")  # fmt: skip
_SHAPES = ([], {}, [[]], [[], []], {"a": {}}, [None], ["a", 1], None, True, False)
_CELLS = (*_TEXTS[:-3], "1e999", "-1", "0", "1", "9" * 400, "inf", "-inf", "1.5", "2026-01-01", '"', "'=1", "True")


def plain_value(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A value somewhere in JSON or YAML became another, was left out, or swells."""
    is_yaml = name.endswith(".yaml")
    values = (yaml.safe_load if is_yaml else json.loads)(sample.files[name])
    holder, key = _place(values, draw)
    if holder is None:
        holder, key = {"all": values}, "all"
    what = int(draw.integers(8))
    if what == 0:
        holder.pop(key)
        story = f"{key!r} left out"
    else:
        holder[key] = _hostile_value(holder[key], draw)
        story = f"{key!r} became {str(holder[key])[:40]!r}"
    if what == 1 and isinstance(holder, dict):
        holder[_TEXTS[int(draw.integers(len(_TEXTS)))]] = holder[key]
        story += ", twice"
    text = _dumped(values.get("all", values) if isinstance(values, dict) else values, is_yaml)
    return sample.with_file(name, text.encode("utf-8", "surrogatepass"), f"{name}: {story}")


def _dumped(values: Any, is_yaml: bool) -> str:
    return yaml.safe_dump(values, sort_keys=False) if is_yaml else json.dumps(values)


def _place(values: Any, draw: np.random.Generator) -> tuple[Any, Any]:
    """Choose where to change: a holder and the key in it."""
    holder, key = None, None
    while isinstance(values, (dict, list)) and values and (holder is None or draw.random() < 0.8):
        keys = list(values) if isinstance(values, dict) else range(len(values))
        holder, key = values, keys[int(draw.integers(len(keys)))]
        values = holder[key]
    return holder, key


def _hostile_value(before: Any, draw: np.random.Generator) -> Any:
    kinds = (_NUMBERS, _TEXTS, _SHAPES, (_swollen(int(draw.integers(4))),), (before, [before], {"x": before}))
    own = _NUMBERS if isinstance(before, (int, float)) else _TEXTS if isinstance(before, str) else _SHAPES
    values = own if draw.random() < 0.4 else kinds[int(draw.integers(len(kinds)))]
    return values[int(draw.integers(len(values)))]


@lru_cache
def _swollen(kind: int) -> Any:
    deep: Any = 0
    for _ in range(60):
        deep = [deep] if kind == 0 else {"a": deep}
    return (deep, deep, [0] * 100_000, {str(number): 0 for number in range(20_000)})[kind]


def table_cell(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Cells, columns and lines of a CSV that became others."""
    lines = list(csv.reader(StringIO(sample.files[name].decode()))) or [[""]]
    story = []
    for _ in range(int(draw.choice([1, 1, 2, 5]))):
        line, column = int(draw.integers(len(lines))), int(draw.integers(max(1, len(lines[0]))))
        what = int(draw.integers(8))
        if what == 0 and lines[0]:
            lines = [[*cells[:column], *cells[column + 1 :]] for cells in lines]
            story.append(f"no column {column}")
        elif what == 1:
            lines = [*lines[:line], *[lines[line]] * int(draw.choice([0, 2, 1000])), *lines[line + 1 :]] or [[""]]
            story.append(f"line {line} left out, or more than once")
        elif what == 2:
            lines = [cells[: max(1, column)] if number == line else cells for number, cells in enumerate(lines)]
            story.append(f"line {line} cut")
        elif lines[line]:
            place = min(column, len(lines[line]) - 1)
            cell = _CELLS[int(draw.integers(len(_CELLS)))]
            lines = [[*cells[:place], cell, *cells[place + 1 :]] if number == line else cells
                     for number, cells in enumerate(lines)]  # fmt: skip
            story.append(f"cell {line}, {place} became {cell[:30]!r}")
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return sample.with_file(name, text.getvalue().encode("utf-8", "surrogatepass"), f"{name}: {', '.join(story)}")


def paper(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """A paper as an enemy writes it who knows what it is."""
    return table_cell(sample, name, draw) if name.endswith(".csv") else plain_value(sample, name, draw)


def tensors(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    """Weights changed in header or values, with the hash in the index that they have now."""
    folder, _, file = name.rpartition("/")
    if not name.endswith(".safetensors"):
        return plain_value(sample, name, draw) if name.endswith((".json", ".yaml")) else ANY[0](sample, name, draw)
    content = (
        _other_tensors(sample, name, draw) if draw.random() < 0.8 else ANY[int(draw.integers(4))](sample, name, draw)
    )
    index = json.loads(sample.files[f"{folder}/checkpoint.json"])
    index["sha256"][file] = hashlib.sha256(content.files[name]).hexdigest()
    return content.with_file(f"{folder}/checkpoint.json", json.dumps(index).encode(), content.story)


def _other_tensors(sample: Sample, name: str, draw: np.random.Generator) -> Sample:
    content = sample.files[name]
    (length,) = struct.unpack_from("<Q", content)
    header, values = json.loads(content[8 : 8 + length]), content[8 + length :]
    key = list(header)[int(draw.integers(len(header)))]
    start, end = header[key].get("data_offsets", (0, 0))
    what = int(draw.integers(8))
    story = f"{name}: {key}: "
    if what == 0:
        length = (0, 2**63, 2**64 - 1, 10**8, len(content))[int(draw.integers(5))]
        return sample.with_file(name, struct.pack("<Q", length) + content[8:], f"{story}a header of {length} bytes")
    if what <= 3:
        fill = (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00")[what]
        values = values[:start] + fill * ((end - start) // 4) + values[end:]
        story += f"all {fill!r}"
    elif what == 4:
        header[key]["shape"] = [[2**40], [0], [-1], [2**62, 4], [], ["a"], [1] * 2000, None][int(draw.integers(8))]
        story += f"shape {str(header[key]['shape'])[:30]}"
    elif what == 5:
        header[key]["dtype"] = ("F64", "I8", "BOOL", "F8_E4M3", "C64", "X", 3, "F16")[int(draw.integers(8))]
        story += f"dtype {header[key]['dtype']}"
    elif what == 6:
        header[key]["data_offsets"] = [[0, 2**62], [end, start], [-4, 0], [0, len(values)], []][int(draw.integers(5))]
        story += f"offsets {header[key]['data_offsets']}"
    else:
        header[_TEXTS[int(draw.integers(len(_TEXTS)))]] = header.pop(key)
        story += "renamed"
    text = json.dumps(header).encode()
    return sample.with_file(name, struct.pack("<Q", len(text)) + text + values, story)


PAPERS: dict[str, tuple[Mutation, ...]] = {
    "weights": (tensors, tensors, tensors), "papers": (paper, paper, paper), "segmentation": (paper, paper, paper),
    "study": (paper, paper, paper),
}  # fmt: skip
