"""Slices to a grid, by pencil."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meddiff.errors import InputError
from meddiff.formats.dicom.grid.frame import Frame
from meddiff.formats.dicom.grid.stacking import arrange

AXIAL = np.array([[1.0, 0, 0], [0, 1, 0]])


def frame(number: int, position, **known) -> Frame:
    known = {"directions": AXIAL, "number": (number,)} | known
    return Frame(
        Path(f"{number}.dcm"), 0, (0, 0), (5, 6), np.array(position, dtype=float), spacing_mm=(0.25, 0.5), **known
    )


def moved(one: Frame, *by: float, **known) -> Frame:
    return replace(one, position=np.add(one.position, by), **known)


def row(count: int = 4, step=(0, 0, 3)) -> list[Frame]:
    return [frame(number, np.array([-10, -20, 30]) + number * np.array(step)) for number in range(count)]


def test_the_affine_by_pencil():
    stack = arrange(row()[::-1], "here")
    assert [one.file.name for one in stack.volumes[0]] == ["0.dcm", "1.dcm", "2.dcm", "3.dcm"]
    expected = [[-0.25, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]]
    assert np.array_equal(stack.affine, expected)
    assert stack.notes == ()


def test_a_tilted_gantry_is_held_by_the_affine():
    stack = arrange(row(step=(0, 1, 3)), "here")
    assert np.allclose(stack.affine[:3, 2], [0, -1, 3])
    assert "18.4 degrees" in stack.notes[0]


def test_a_single_slice_has_a_unit_normal():
    stack = arrange(row(1), "here")
    assert np.array_equal(stack.affine[:3, 2], [0, 0, 1])
    assert "unknown" in stack.notes[0]


def test_positions_rounded_by_the_scanner_are_no_gap():
    frames = [moved(one, 0, 0, 0.01 * (number % 2)) for number, one in enumerate(row(5))]
    assert np.allclose(arrange(frames, "here").affine[:3, 2], [0, 0, 3])


@pytest.mark.parametrize("interleaved", [False, True])
def test_several_volumes_are_told_apart_by_kind_then_order(interleaved):
    frames = []
    for echo in (20.0, 5.0):
        for number, one in enumerate(row()):
            order = (number * 2 + (echo == 20)) if interleaved else number + 10 * (echo == 20)
            frames.append(replace(one, file=Path(f"{echo}-{number}"), marks={"EchoTime": echo}, number=(order,)))
    stack = arrange(frames, "here")
    assert [{one.marks["EchoTime"] for one in volume} for volume in stack.volumes] == [{5.0}, {20.0}]
    assert "2 volumes" in stack.notes[0]
    assert "EchoTime: 5, 20" in stack.notes[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda frames: frames[:2] + frames[3:], r"missing: 3\.000 mm .* 6\.000 mm between 1\.dcm and 3\.dcm"),
        (lambda frames: [*frames[:4], frame(9, (-10, -20, 43.4))], r"uneven: .* 4\.400 mm between 3\.dcm and 9\.dcm"),
        (lambda frames: [*frames, frame(9, (-10, -20, 33))], r"another number: 1\.dcm, 9\.dcm"),
        (lambda frames: [frame(number, (0, 0, 0)) for number in range(3)], "same place"),
        (lambda frames: frames + [replace(one, file=Path("copy.dcm")) for one in frames], "neither time nor number"),
        (lambda frames: [*frames[:4], replace(frames[4], directions=AXIAL[::-1])], r"2 different orientations.*4\.dcm"),
        (lambda frames: [*frames[:4], replace(frames[4], shape=(9, 9))], r"different sizes.*4\.dcm"),
        (lambda frames: [*frames[:4], replace(frames[4], spacing_mm=(9, 9))], r"different pixel spacings.*4\.dcm"),
        (lambda frames: [*frames[:2], frame(2, (-7, -20, 36)), *frames[3:]], "straight line"),
        (lambda frames: frames + [moved(one, 1, 0, 0, number=(one.number[0] + 100,))
                                  for one in frames], r"shifted by 1\.000 mm"),
        (lambda frames: [replace(one, marks={"EchoTime": n % 2 + 1.0}, number=(v, n))
                         for v in (0, 1) for n, one in enumerate(frames)],
         "cannot be sorted"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused_by_name(change, reason):
    with pytest.raises(InputError, match=r"^here: ") as caught:
        arrange(change(row(5)), "here")
    assert re.search(reason, str(caught.value)), str(caught.value)
