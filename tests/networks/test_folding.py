import pytest
import torch
from torch.nn.functional import pixel_unshuffle

from meddiff.networks.folding import fold, pad_to_multiple, unfold


@pytest.mark.parametrize("size", [(8, 12), (8, 4, 12)])
@pytest.mark.parametrize("patch_size", [1, 2, 4])
def test_unfold_undoes_fold(size, patch_size):
    x = torch.randn(2, 3, *size)
    folded = fold(x, patch_size)
    assert folded.shape == (2, 3 * patch_size ** len(size), *(side // patch_size for side in size))
    assert torch.equal(unfold(folded, patch_size), x)


def test_fold_is_pixel_unshuffle_in_two_dimensions():
    x = torch.randn(2, 3, 8, 12)
    assert torch.equal(fold(x, 2), pixel_unshuffle(x, 2))


def test_a_patch_of_a_volume_becomes_the_channels_of_one_position():
    x = torch.arange(4 * 4 * 4.0).reshape(1, 1, 4, 4, 4)
    assert fold(x, 2)[0, :, 1, 0, 1].tolist() == x[0, 0, 2:4, 0:2, 2:4].flatten().tolist()


@pytest.mark.parametrize("size", [(8, 16), (9, 13), (1, 7, 10)])
def test_padding_is_cut_off_again(size):
    x = torch.randn(2, 3, *size)
    padded, window = pad_to_multiple(x, 8)
    assert all(side % 8 == 0 for side in padded.shape[2:])
    assert torch.equal(padded[window], x)
    assert (padded != 0).sum() == (x != 0).sum()  # zeros around it
