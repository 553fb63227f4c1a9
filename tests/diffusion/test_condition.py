import pytest
import torch

from meddiff.diffusion.condition import Condition
from meddiff.errors import InputError


def told() -> Condition:
    return Condition(torch.tensor([0, 1, 2]), torch.ones(3, 1, 4, 4), torch.ones(3, 2, 5))


def test_dropping_is_per_sample():
    kept = told().dropped(torch.tensor([True, False, True]))
    assert kept.label.tolist() == [0, -1, 2]
    assert kept.image.flatten(1).amax(1).tolist() == [1, 0, 1]
    assert kept.context.flatten(1).amax(1).tolist() == [1, 0, 1]
    assert told().dropped(torch.tensor([False] * 3)).label.tolist() == told().untold().label.tolist()


def test_label_and_attributes_are_dropped_one_by_one():
    told = Condition(torch.tensor([0, 1, 2]), attributes=torch.ones(3, 2, 5))
    each = torch.tensor([[True, True, False], [False, True, True], [True, True, True]])
    kept = told.dropped(torch.tensor([True, True, False]), each)
    assert kept.label.tolist() == [0, -1, -1]
    assert kept.attributes.amax(2).tolist() == [[1, 0], [1, 1], [0, 0]]
    assert told.dropped(torch.tensor([True, False, True])).attributes.amax((1, 2)).tolist() == [1, 0, 1]
    assert not told.untold().attributes.any()
    assert told.count == 3
    assert Condition().count is None
    assert told.at([2, 0]).label.tolist() == [2, 0]
    assert torch.equal(Condition.cat([told, kept]).attributes[3:], kept.attributes)


def test_a_part_never_told_stays_none():
    only_label = Condition(label=torch.tensor([1]))
    for condition in (
        only_label.untold(),
        only_label.dropped(torch.tensor([True])),
        only_label.to("cpu"),
    ):
        assert condition.image is None
        assert condition.context is None
    assert Condition().dropped(torch.tensor([True])) == Condition()


def test_cat_makes_one_batch():
    both = Condition.cat([told(), told().untold()])
    assert both.label.tolist() == [0, 1, 2, -1, -1, -1]
    assert both.image.shape == (6, 1, 4, 4)
    assert both.context.flatten(1).amax(1).tolist() == [1, 1, 1, 0, 0, 0]
    assert Condition.cat([Condition(), Condition()]) == Condition()


def test_guards():
    with pytest.raises(InputError, match="bool"):
        told().dropped(torch.tensor([1, 0, 1]))
    with pytest.raises(InputError, match="label is told in some"):
        Condition.cat([Condition(label=torch.tensor([1])), Condition()])
