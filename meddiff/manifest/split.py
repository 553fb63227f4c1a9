"""The split into train, val and test, of who trains and who judges; it cuts no patient, no lesion and no volume.

Rows are tied into groups by all that they share (see consistency.shared_things), and the groups are dealt out rarest
class first, each to the split that is furthest from its share of that class: the iterative stratification of
Sechidis et al. (2011, "On the stratification of multi-label data"), with groups for samples. scikit-learn's
StratifiedGroupKFold cuts into equal folds only, does not promise that a rare class is in each of them, and cannot
keep the part of a split that a publisher has already made.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meddiff.errors import InputError, Problems
from meddiff.manifest.consistency import check_rows, shared_things
from meddiff.manifest.row import ManifestRow
from meddiff.seeds import child_seed

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class _Group:
    members: tuple[int, ...]
    labels: Counter


def assign_splits(
    rows: Sequence[ManifestRow],
    *,
    train: float = 0.7,
    val: float = 0.1,
    seed: int = 0,
    ties: Sequence[tuple[int, int]] = (),
) -> list[ManifestRow]:
    """Return the rows in their order, each with a split.

    A row that has a split keeps it, and so do all rows that are tied to it; synthetic rows train. Every class has at
    least one group in train, one in test where it has two, and one in val where it has four; beyond that each class
    comes as near to the shares as its groups allow.

    Args:
        rows: of one data set; rows without a label count as a class of their own.
        train: share of each class's images that train.
        val: share used for validation; what is left is the test split.
        seed: another seed draws another split.
        ties: positions of rows that belong together for another reason than what they name: they are copies.

    Raises:
        InputError: shares that are none; a class with a single group, which can either train or judge; rows whose
            given splits cut a group.
    """
    if not (0 < train <= 1 and val >= 0 and train + val <= 1 + 1e-9):
        raise InputError(
            f"the split shares are train {train} and val {val}. They are above 0 and 0 or more, and at most 1 together."
        )
    if not rows:
        raise InputError("there is no image to split. Check that the data folder or manifest holds any.")
    check_rows(rows, "split")
    shares = {"train": train, "val": val, "test": max(0.0, 1 - train - val)}
    groups = _groups(rows, ties)
    chosen = _given_splits(rows, groups)
    _refuse_lonely(rows, groups, chosen)
    _deal(groups, chosen, shares, seed=seed)
    split = {member: chosen[number] for number, group in enumerate(groups) for member in group.members}
    # `replace` asks for every field again, which of a million rows takes half of the time
    return [ManifestRow(**vars(row) | {"split": split[index]}) for index, row in enumerate(rows)]


def _groups(rows: Sequence[ManifestRow], ties: Sequence[tuple[int, int]]) -> list[_Group]:
    return [
        _Group(members, Counter(rows[index].label or "" for index in members if rows[index].source != "synthetic"))
        for members in tied(rows, ties)
    ]


def tied(rows: Sequence[ManifestRow], ties: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Give positions of the rows that hang together by a patient, lesion or image file, or by the ties given beside."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[tuple[str, str], int] = {}
    things = [(index, thing) for index, row in enumerate(rows) for thing in shared_things(row).items()]
    start = np.array([*(index for index, _ in things), *(index for index, _ in ties)])
    end = np.array([*(first.setdefault(thing, index) for index, thing in things), *(index for _, index in ties)])
    graph = coo_array((np.ones(len(start), dtype=bool), (start, end)), shape=(len(rows), len(rows)))
    _, number = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(number.tolist()):
        members[group].append(index)
    return [tuple(some) for some in members.values()]


def _given_splits(rows: Sequence[ManifestRow], groups: Sequence[_Group]) -> dict[int, str]:
    """Return the number of a group -> the split that some of its rows have already."""
    chosen: dict[int, str] = {}
    problems = Problems("split")
    for number, group in enumerate(groups):
        some = [rows[member] for member in group.members]
        given = {row.split or ("train" if row.source == "synthetic" else "") for row in some} - {""}
        if len(given) > 1:
            ids = ", ".join(repr(row.row_id) for row in some[:5])
            detail = f"{ids} belong together by patient, lesion or file, and are in {' and '.join(sorted(given))}"
            problems.add(
                "tied rows in several splits", detail, "Give all rows that belong together one split, or none."
            )
        elif given:
            chosen[number] = given.pop()
    problems.raise_if_any()
    return chosen


def _refuse_lonely(rows: Sequence[ManifestRow], groups: Sequence[_Group], chosen: dict[int, str]) -> None:
    problems = Problems("split")
    cure = "It cannot both train and judge: add images of others, merge the class with another, or leave it out."
    holders: dict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for label in group.labels:
            holders[label].append(number)
    for label, numbers in sorted(holders.items()):
        if len(numbers) == 1 and numbers[0] not in chosen:
            images = [row for index in groups[numbers[0]].members if (row := rows[index]).label == (label or None)]
            what = "image" if len(images) == 1 else "patient or lesion"
            name = repr(label) if label else "the images without a label"
            problems.add("class with a single group", f"{name}: one {what} only ({images[0].row_id!r})", cure)
    problems.raise_if_any()


def _deal(groups: Sequence[_Group], chosen: dict[int, str], shares: dict[str, float], *, seed: int) -> None:
    """Put every group that has no split yet into one."""
    total = sum((group.labels for group in groups), Counter())
    missing = {split: {label: share * total[label] for label in total} for split, share in shares.items()}
    order = np.random.default_rng(child_seed(seed, "split")).permutation(len(groups)).tolist()

    def put(number: int, split: str) -> None:
        chosen[number] = split
        for label, count in groups[number].labels.items():
            missing[split][label] -= count

    for number, split in list(chosen.items()):
        put(number, split)
    holders_of: dict[str, list[int]] = defaultdict(list)
    for number in order:
        for label in groups[number].labels:
            holders_of[label].append(number)
    for label in sorted(total, key=lambda name: (total[name], name)):
        holders = holders_of[label]
        present = {chosen[number] for number in holders if number in chosen}
        for number in holders:
            if number not in chosen:
                split = _promised(present, len(holders), shares) or max(SPLITS, key=lambda name: missing[name][label])
                put(number, split)
                present.add(split)


def _promised(present: set[str], holders: int, shares: dict[str, float]) -> str | None:
    """Return the split that a class with this many groups must still reach."""
    for split, enough in (("train", 1), ("test", 2), ("val", 4)):
        if split not in present and holders >= enough and shares[split] > 1e-9:
            return split
    return None
