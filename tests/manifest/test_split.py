"""Splits cut no group, keep what is given, and reach every class."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.errors import InputError
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.split import assign_splits
from tests.manifest.rows import example_row


def rows_of(classes: dict[str, list[int]]):
    """One class per label with groups of these sizes; patients in even groups, lesions in odd ones."""
    rows = []
    for label, sizes in classes.items():
        for group, size in enumerate(sizes):
            column = "lesion_id" if group % 2 else "patient_id"
            rows += [
                example_row(f"{label}-{group}-{number}", label=label, **{column: f"{label}-{group}"})
                for number in range(size)
            ]
    return rows


def shares(rows, label):
    counts = Counter(row.split for row in rows if row.label == label)
    return {split: counts[split] / counts.total() for split in ("train", "val", "test")}


@given(
    classes=st.dictionaries(
        st.sampled_from("abcde"), st.lists(st.integers(1, 5), min_size=2, max_size=12), min_size=1, max_size=5
    ),
    seed=st.integers(0, 10),
)
@settings(max_examples=60, deadline=None)
def test_no_group_is_cut_and_every_class_trains_and_is_judged(classes, seed):
    rows = rows_of(classes)
    split = assign_splits(rows, seed=seed)
    assert [replace(row, split=None) for row in split] == rows
    check_rows(split, "split")
    for label, sizes in classes.items():
        reached = {row.split for row in split if row.label == label}
        assert {"train", "test"} <= reached
        assert "val" in reached or len(sizes) < 4


def test_shares_are_met_by_class():
    rows = rows_of({"common": [1, 2, 3] * 100, "rare": [1] * 30})
    split = assign_splits(rows, train=0.6, val=0.15)
    for label in ("common", "rare"):
        assert shares(split, label) == pytest.approx({"train": 0.6, "val": 0.15, "test": 0.25}, abs=0.04)


def test_the_seed_alone_decides():
    rows = rows_of({"a": [1] * 30})
    assert assign_splits(rows, seed=1) == assign_splits(rows, seed=1)
    assert assign_splits(rows, seed=1) != assign_splits(rows, seed=2)


def test_given_splits_are_kept_and_their_groups_follow():
    rows = rows_of({"a": [3] * 8})
    rows[0] = replace(rows[0], split="test")
    split = assign_splits(rows)
    assert [row.split for row in split[:3]] == ["test"] * 3
    whole = [replace(row, split="val") for row in rows_of({"a": [1]})]
    assert assign_splits(whole) == whole


def test_a_lesion_ties_patients_and_a_volume_ties_its_slices():
    rows = [
        example_row("a", label="x", patient_id="p", lesion_id="l"),
        example_row("b", label="x", patient_id="p"),
        example_row("c", label="x", lesion_id="l"),
        example_row("d", label="x", image_path="c.png"),
        *(example_row(str(number), label="x") for number in range(20)),
    ]
    for seed in range(5):
        split = {row.row_id: row.split for row in assign_splits(rows, seed=seed)}
        assert len({split[name] for name in "abcd"}) == 1


def test_tied_rows_with_two_given_splits_are_refused():
    rows = [
        example_row("a", patient_id="p", split="train"),
        example_row("b", patient_id="p", lesion_id="l"),
        example_row("c", lesion_id="l", split="test"),
    ]
    with pytest.raises(InputError, match=r"'a', 'b', 'c' belong together.*test and train"):
        assign_splits(rows)


def test_patients_with_lesions_of_several_classes():
    rows = [
        example_row(f"{patient}-{label}", label=label, patient_id=str(patient))
        for patient in range(40)
        for label in ("a", *("b" if patient % 4 == 0 else ""), *("c" if patient % 10 == 0 else ""))
    ]
    split = assign_splits(rows)
    by_patient = defaultdict(set)
    for row in split:
        by_patient[row.patient_id].add(row.split)
    assert all(len(found) == 1 for found in by_patient.values())
    for label in "abc":
        assert {"train", "test"} <= {row.split for row in split if row.label == label}


def test_synthetic_rows_train_and_do_not_count():
    rows = [*rows_of({"a": [1] * 10}), *(example_row(f"s{n}", label="a", source="synthetic") for n in range(100))]
    split = assign_splits(rows)
    assert {row.split for row in split if row.source == "synthetic"} == {"train"}
    assert Counter(row.split for row in split if row.source == "real") == {"train": 7, "val": 1, "test": 2}


def test_a_class_of_one_group_is_refused_by_name():
    rows = rows_of({"a": [1, 1], "lonely": [1], "twins": [2]})
    with pytest.raises(InputError) as caught:
        assign_splits(rows)
    assert "'lonely': one image only ('lonely-0-0')" in str(caught.value)
    assert "'twins': one patient or lesion only" in str(caught.value)
    assert "cannot both train and judge" in str(caught.value)


def test_no_test_split_when_none_is_asked_for():
    split = assign_splits(rows_of({"a": [1] * 20}), train=0.8, val=0.2)
    assert Counter(row.split for row in split) == {"train": 16, "val": 4}


@pytest.mark.parametrize(("train", "val"), [(0, 0.1), (0.9, 0.2), (0.5, -0.1), (1.1, 0)])
def test_shares_that_are_none(train, val):
    with pytest.raises(InputError, match="split shares"):
        assign_splits(rows_of({"a": [1, 1]}), train=train, val=val)


def test_no_rows():
    with pytest.raises(InputError, match="no image to split"):
        assign_splits([])
