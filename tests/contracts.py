"""One contract check per kind of thing; each is run over every implementation that `assembly` names."""


def wake(network) -> None:
    """Give the layers that start at zero small values: a fresh diffusion network says zero whatever it is told."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))


def check_network(build, *, spatial_dims: int = 2) -> None:
    """A network is (x_t, t, condition) -> like x_t, for any size, and hears everything that it is told.

    ``build(in_channels, out_channels, num_classes=, condition_channels=, spatial_dims=)`` makes a tiny one.
    """
    import torch

    from meddiff.diffusion.condition import Condition

    classes = 3
    network = build(2, 2, num_classes=classes, condition_channels=1, spatial_dims=spatial_dims)
    wake(network)
    for size in ((16, 8, 8)[:spatial_dims], (9, 13, 7)[:spatial_dims]):  # divisible, and not
        generator = torch.Generator().manual_seed(0)
        x_t = torch.randn((3, 2, *size), generator=generator)
        image = torch.randn((3, 1, *size), generator=generator)
        t = torch.tensor([1, 500, 1000])
        label = torch.tensor([0, 2, 1])
        with torch.no_grad():
            told = network(x_t, t, Condition(label=label, image=image))
            assert told.shape == x_t.shape
            assert told.isfinite().all()
            assert torch.equal(told, network(x_t, t, Condition(label=label, image=image))), "not a pure function"
            assert (told != network(x_t, t.flip(0), Condition(label=label, image=image))).any(), "does not hear t"
            assert (told != network(x_t, t - 0.5, Condition(label=label, image=image))).any(), "rounds t"
            other = network(x_t, t, Condition(label=(label + 1) % classes, image=image))
            assert (told != other).flatten(1).any(1).all(), "does not hear the label"
            other = network(x_t, t, Condition(label=label, image=-image))
            assert (told != other).flatten(1).any(1).all(), "does not hear the image"
            half = network(x_t, t, Condition(label=torch.tensor([0, -1, 1]), image=image))
            none = network(x_t, t, Condition(label=torch.tensor([-1, -1, -1]), image=image))
            torch.testing.assert_close(half[1], none[1])  # untold is per sample
            torch.testing.assert_close(half[::2], told[::2])
            assert (none != told).flatten(1).any(1).all(), "an untold label counts as a class"
            torch.testing.assert_close(none, network(x_t, t, Condition(label=None, image=image)))
            alone = network(x_t[1:2], t[1:2], Condition(label=label[1:2], image=image[1:2]))
            torch.testing.assert_close(alone, told[1:2], rtol=1e-3, atol=1e-4)  # samples do not hear each other
    output = network(x_t, t, Condition(label=torch.tensor([0, -1, 2]), image=image))
    output.square().mean().backward()
    deaf = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert not deaf, f"no gradient reaches {deaf}"
