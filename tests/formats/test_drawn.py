"""SEG and RTSTRUCT as masks: voxel by voxel what was drawn, on series of any direction; of another series refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import uid

from meddiff.errors import InputError
from meddiff.formats.dicom.codes import segments_of
from meddiff.formats.dicom.contours import inside
from meddiff.formats.dicom.segmentation import save_dicom_seg
from meddiff.formats.dicom.series import find_series
from meddiff.formats.masks import IGNORED, MaskAt, NameRules, decide, masks_found, stored_at
from meddiff.formats.open import load_volume
from tests.dicom_series import write_series
from tests.formats.drawn_files import outline, rtstruct, seg
from tests.formats.test_dicom_seg import PLANES

DOUBLE = ((0.8, 0.6, 0, -0.36, 0.48, 0.8), (0.48 * 3, -0.64 * 3, 0.6 * 3))  # about two axes
SERIES = PLANES | {"about two axes": DOUBLE}
SHAPE = (6, 5, 4)


def series(folder: Path, plane: str = "axial", **known) -> Path:
    directions, step = SERIES[plane]
    write_series(folder, step=step, ImageOrientationPatient=list(directions), FrameOfReferenceUID="1.2.9", **known)
    return folder


def shapes() -> list[tuple[str, np.ndarray]]:
    """Unlike their mirror images along each axis, with an empty slice."""
    disc, cup = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    disc[1:5, 1:4, 0] = disc[0, 0, 0] = disc[4:, 2:, 2] = True
    cup[2, 2, 0] = cup[5, 0, 3] = True
    return [("disc", disc & ~cup), ("cup", cup)]


def classes_in(file: Path, image: Path, **how) -> np.ndarray:
    stored = stored_at(MaskAt.file(file, image), volume=True)
    held = masks_found([MaskAt.file(file, image)])
    assert not held.bad, held.bad
    return decide(held.levels, **how)(stored)


def truth() -> np.ndarray:
    return (shapes()[0][1] + 2 * shapes()[1][1]).astype(np.uint8)


@pytest.mark.parametrize("plane", SERIES)
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize(("axes", "seed"), [("ji", None), ("ji", 1), ("Ji", 2), ("jI", 3), ("ij", 4), ("IJ", 5)])
def test_segments_lie_where_they_were_drawn(tmp_path, plane, kind, axes, seed):
    image = series(tmp_path / "in", plane)
    file = seg(tmp_path / "m.dcm", image, shapes(), kind=kind, axes=axes, seed=seed)
    assert np.array_equal(classes_in(file, image), truth())


@pytest.mark.parametrize("plane", SERIES)
def test_what_highdicom_writes_is_read(tmp_path, plane):
    image = series(tmp_path / "in", plane)
    (one,) = find_series(sorted(image.iterdir())).series
    save_dicom_seg(truth(), tmp_path / "m.dcm", series=one, segments=segments_of(["disc", "cup"]))
    assert np.array_equal(classes_in(tmp_path / "m.dcm", image), truth())


@pytest.mark.parametrize("plane", SERIES)
def test_contours_between_voxels_are_filled_where_they_were_drawn(tmp_path, plane):
    image = series(tmp_path / "in", plane)
    regions = {name: outline(marked) for name, marked in shapes()}  # the disc has a hole, where the cup is
    file = rtstruct(tmp_path / "m.dcm", image, regions)
    assert np.array_equal(classes_in(file, image), truth())


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_contours_from_center_to_center_hold_their_line(tmp_path, kind):
    image = series(tmp_path / "in", "about two axes")
    square = np.array([(1, 1, 2), (4, 1, 2), (4, 3, 2), (1, 3, 2)])
    file = rtstruct(tmp_path / "m.dcm", image, {"lesion": [(kind, square)]})
    expected = np.zeros(SHAPE, np.uint8)
    expected[1:5, 1:4, 2] = 1
    assert np.array_equal(classes_in(file, image), expected)


def test_polygons_against_the_formula():
    """Circles, rings and stars of many edges, by the distance of each pixel, or by the winding of matplotlib."""
    from matplotlib.path import Path as Line

    angles = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    distance = np.hypot(*np.meshgrid(np.arange(40) - 20.3, np.arange(30) - 14.7, indexing="ij"))
    center = np.array([20.3, 14.7])
    assert np.array_equal(inside([center + 9.123 * circle], (40, 30)), distance < 9.123)
    ring = [center + 9.123 * circle, center + 4.057 * circle[::-1]]
    assert np.array_equal(inside(ring, (40, 30)), (distance < 9.123) & (distance > 4.057))
    bridge = [np.concatenate([ring[0], ring[0][:1], ring[1][-1:], ring[1]])]  # one line around the hole
    assert np.count_nonzero(inside(bridge, (40, 30)) != inside(ring, (40, 30))) <= 6
    draw = np.random.default_rng(0)
    for _ in range(20):
        radius = draw.uniform(3, 13, 37)
        star = center + radius[:, None] * np.stack([np.cos(angles[::55]), np.sin(angles[::55])], axis=1)[:37]
        centers = np.stack(np.meshgrid(np.arange(40), np.arange(30), indexing="ij"), axis=-1).reshape(-1, 2)
        marked = inside([star], (40, 30)).ravel()
        near = Line(star).contains_points(centers, radius=0.01) ^ Line(star).contains_points(centers, radius=-0.01)
        assert np.array_equal(marked[~near], Line(star).contains_points(centers)[~near])


def overlapping() -> list[tuple[str, np.ndarray]]:
    disc, cup = shapes()[0][1].copy(), shapes()[1][1]
    return [("disc", disc | (cup & (np.arange(4) == 0))), ("cup", cup)]  # one voxel in both


@pytest.mark.parametrize("of", ["SEG", "RTSTRUCT"])
def test_shapes_that_share_voxels_are_refused_until_a_rule_is_named(tmp_path, of):
    image = series(tmp_path / "in")
    if of == "SEG":
        file = seg(tmp_path / "m.dcm", image, overlapping())
    else:
        file = rtstruct(tmp_path / "m.dcm", image, {name: outline(marked) for name, marked in overlapping()})
    with pytest.raises(InputError, match=r"m\.dcm: 'disc' and 'cup' share 1 voxels.*--data\.mask_overlap"):
        classes_in(file, image)
    assert np.array_equal(classes_in(file, image, rules=NameRules(overlap="later")), truth())
    ignored = np.where((truth() == 2) & (np.arange(4) == 0), IGNORED, truth())
    assert np.array_equal(classes_in(file, image, rules=NameRules(overlap="ignore")), ignored)
    other = classes_in(file, image, rules=NameRules(overlap="later"), names=("background", "cup", "disc"))
    assert other[2, 2, 0] == 2
    assert np.array_equal(classes_in(file, image, text="DISC=disc,*=background"), overlapping()[0][1])


def test_names_are_classes_whatever_their_order_and_capitals(tmp_path):
    image, (disc, cup) = series(tmp_path / "in"), shapes()
    one = seg(tmp_path / "1.dcm", image, [disc, cup])
    two = rtstruct(tmp_path / "2.dcm", image, {"Cup ": outline(cup[1]), "DISC": outline(disc[1])})
    held = masks_found([MaskAt.file(one, image), MaskAt.file(two, image)]).levels
    meaning = decide(held)
    assert meaning.names == ("background", "disc", "cup")
    for file in (one, two):
        assert np.array_equal(meaning(stored_at(MaskAt.file(file, image), volume=True)), truth())
    assert sum(meaning.counted(held[0]).values()) == sum(meaning.counted(held[1]).values()) == truth().size


def test_a_class_that_some_masks_do_not_name_is_refused_until_it_is_said(tmp_path):
    image, (disc, cup) = series(tmp_path / "in"), shapes()
    one, two = seg(tmp_path / "1.dcm", image, [disc, cup]), seg(tmp_path / "2.dcm", image, [disc])
    held = masks_found([MaskAt.file(one, image), MaskAt.file(two, image)]).levels
    with pytest.raises(InputError, match=r"2\.dcm: it names no 'cup', which .*--data\.mask_missing empty"):
        decide(held)
    meaning = decide(held, rules=NameRules(missing="empty"))
    assert np.array_equal(meaning(stored_at(MaskAt.file(two, image), volume=True)), disc[1])


@pytest.mark.parametrize("text", ["GTV-1=tumor,gtv old=tumor,couch=ignore", "gtv-1=tumor,GTV  OLD=tumor,*=ignore"])
def test_names_are_given_classes(tmp_path, text):
    image, (disc, cup) = series(tmp_path / "in"), shapes()
    couch = np.zeros(SHAPE, bool)
    couch[:, 4] = True
    named = [("GTV-1", disc[1]), ("GTV old", cup[1]), ("Couch", couch & ~disc[1])]
    file = rtstruct(tmp_path / "m.dcm", image, {name: outline(marked) for name, marked in named})
    expected = np.where(couch & ~disc[1], IGNORED, truth() > 0)
    assert np.array_equal(classes_in(file, image, text=text), expected)
    with pytest.raises(InputError, match=r"holds the value Couch, and --data.mask_values says"):
        classes_in(file, image, text="GTV-1=tumor,GTV old=tumor")
    with pytest.raises(InputError, match=r"it holds 'GTV-1', 'GTV old', 'Couch', and the classes are"):
        classes_in(file, image, names=("background", "tumor"))


@pytest.mark.parametrize(
    ("kind", "points", "said"),
    [
        ("POINT", [(1, 1, 1)], r"'iso' holds a contour of the type POINT, which encloses nothing"),
        ("OPEN_PLANAR", [(1, 1, 1), (2, 2, 1), (3, 1, 1)], r"type OPEN_PLANAR"),
        ("OPEN_NONPLANAR", [(1, 1, 1), (2, 2, 2), (3, 1, 1)], r"type OPEN_NONPLANAR"),
        ("CLOSED_PLANAR", [(1, 1, 1), (2, 2, 1)], r"a contour of 2 points"),
    ],
)
def test_lines_that_enclose_nothing_are_no_class(tmp_path, kind, points, said):
    image, (disc, _) = series(tmp_path / "in"), shapes()
    file = rtstruct(tmp_path / "m.dcm", image, {"disc": outline(disc[1]), "iso": [(kind, np.array(points))]})
    with pytest.raises(InputError, match=said):
        classes_in(file, image)
    assert np.array_equal(classes_in(file, image, text="disc=disc,*=background"), disc[1])


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([(1, 1, 1.5), (4, 1, 1.5), (4, 3, 1.5)], "lies 0.50 of the distance of slices beside"),
        ([(1, 1, 0), (4, 1, 2), (4, 3, 3)], "aslant"),
        ([(1, 1, 7), (4, 1, 7), (4, 3, 7)], "reaches beyond the image"),
        ([(1, 1, 1), (40, 1, 1), (40, 30, 1)], "reaches beyond the image"),
    ],
)
def test_contours_that_do_not_lie_on_the_slices_are_refused(tmp_path, points, said):
    image = series(tmp_path / "in")
    regions = {"disc": outline(shapes()[0][1]), "odd": [("CLOSED_PLANAR", np.array(points))]}
    file = rtstruct(tmp_path / "m.dcm", image, regions)
    with pytest.raises(InputError, match=said):
        stored_at(MaskAt.file(file, image), volume=True)


@pytest.mark.parametrize("make", [seg, lambda *given: rtstruct(*given[:2], {n: outline(m) for n, m in given[2]})])
def test_what_was_drawn_on_another_series_is_refused(tmp_path, make):
    image = series(tmp_path / "in")
    file = make(tmp_path / "m.dcm", image, shapes())
    other = series(tmp_path / "other", SeriesInstanceUID=uid.generate_uid())
    with pytest.raises(InputError, match=r"m\.dcm: it was drawn on another series than .*other"):
        stored_at(MaskAt.file(file, other), volume=True)
    space = tmp_path / "space"
    write_series(space, FrameOfReferenceUID=uid.generate_uid())
    with pytest.raises(InputError, match=r"m\.dcm: it was drawn in another frame of reference"):
        stored_at(MaskAt.file(file, space), volume=True)
    moved = tmp_path / "moved"
    write_series(moved, step=(0, 0, 2.0), FrameOfReferenceUID="1.2.9")
    with pytest.raises(InputError, match="beside"):
        stored_at(MaskAt.file(file, moved), volume=True)
    with pytest.raises(InputError, match=r"is read on the voxels of its image: name that too"):
        stored_at(MaskAt.file(file), volume=True)


@pytest.mark.parametrize("make", [seg, lambda *given: rtstruct(*given[:2], {n: outline(m) for n, m in given[2]})])
def test_a_series_that_was_converted_is_known_by_its_place(tmp_path, make):
    image = series(tmp_path / "in", "about two axes")
    file, volume = make(tmp_path / "m.dcm", image, shapes()), load_volume(image)
    turned = volume.array[::-1].transpose(2, 0, 1)  # another order of the same voxels
    affine = volume.affine @ np.array([[0, -1, 0, SHAPE[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(turned.astype(np.int16), affine), tmp_path / "i.nii.gz")
    expected = truth()[::-1].transpose(2, 0, 1)
    assert np.array_equal(classes_in(file, tmp_path / "i.nii.gz"), expected)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"SegmentationType": "SURFACE"}, "type SURFACE is not read"),
        ({"SegmentSequence": []}, "a frame is of segment 1, which it does not describe"),
        ({"PerFrameFunctionalGroupsSequence": []}, r"it has 4 frames and 0 places"),
    ],
)
def test_segments_that_contradict_themselves_are_refused(tmp_path, known, said):
    image = series(tmp_path / "in")
    file = seg(tmp_path / "m.dcm", image, shapes(), **known)
    with pytest.raises(InputError, match=said):
        stored_at(MaskAt.file(file, image), volume=True)
