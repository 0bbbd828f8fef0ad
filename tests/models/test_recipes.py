"""The parts of published recipes: blurred strides, views in evaluation, airbench's network."""

import pytest
import torch
import torchvision
from torch import nn

from ffcv_hydra.models import AirbenchNet, EvaluationViews, mirrored_conv_net, with_blur_pool


def test_strides_are_blurred_but_that_of_the_first_layer():
    backbone = with_blur_pool(torchvision.models.resnet18(num_classes=5))
    blurred = [name for name, module in backbone.named_modules() if type(module).__name__ == "BlurPoolConv2d"]
    assert blurred == [f"layer{layer}.0.{part}" for layer in (2, 3, 4) for part in ("conv1", "downsample.0")]
    assert backbone(torch.rand(2, 3, 64, 64)).shape == (2, 5)


def test_blurred_convolutions_keep_their_weights_and_names():
    plain, blurred = torchvision.models.resnet18(num_classes=5), torchvision.models.resnet18(num_classes=5)
    drawn = torch.get_rng_state()
    with_blur_pool(blurred)
    assert torch.get_rng_state().equal(drawn)
    blurred.load_state_dict(plain.state_dict())
    assert blurred.layer2[0].conv1.weight.equal(plain.layer2[0].conv1.weight)
    assert with_blur_pool(nn.Sequential(nn.Conv2d(16, 2, 3, stride=2)))[0].bias.shape == (2,)


def test_a_blur_is_the_binomial_filter():
    convolution = nn.Conv2d(16, 1, 1, stride=2, bias=False)
    nn.init.ones_(convolution.weight)
    images = torch.zeros(1, 16, 4, 4)
    images[0, 3, 2, 2] = 16
    blurred = with_blur_pool(nn.Sequential(convolution))(images)
    assert blurred.tolist() == [[[[0, 0], [0, 4]]]]


def test_in_evaluation_views_are_averaged_and_in_training_not():
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))
    views, images = EvaluationViews(backbone), torch.rand(3, 3, 4, 4)
    assert views(images).equal(backbone(images))
    views.eval()
    mirrored = (backbone(images) + backbone(images.flip(3))) / 2
    torch.testing.assert_close(views(images), mirrored)
    assert not views(images).allclose(backbone(images))
    torch.testing.assert_close(views(images), views(images.flip(3)))
    views.shift = 1
    padded = nn.functional.pad(images, [1] * 4, "reflect")
    moved = [(backbone(view) + backbone(view.flip(3))) / 2 for view in (padded[..., :4, :4], padded[..., 2:, 2:])]
    torch.testing.assert_close(views(images), mirrored / 2 + (moved[0] + moved[1]) / 4)


def test_airbench_whitens_the_first_batch_and_only_that():
    net = AirbenchNet(10, width=8)
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert net(images).shape == (64, 10)
    patches = net.whiten(images)[:, :12] - net.whiten.bias[:12, None, None]
    second_moments = torch.einsum("nihw,njhw->ij", patches, patches) / patches[:, 0].numel()
    torch.testing.assert_close(second_moments, torch.eye(12), atol=0.05, rtol=0)
    kept = net.whiten.weight.clone()
    net(images / 2)
    assert net.whiten.weight.equal(kept)
    again = AirbenchNet(10, width=8)
    again.load_state_dict(net.state_dict())
    again(images / 3)
    assert again.whiten.weight.equal(kept)


def test_airbench_has_the_published_sizes():
    net = AirbenchNet(10)
    assert sum(parameter.numel() for parameter in net.parameters()) == pytest.approx(1_972_792, abs=2000)
    assert not net.whiten.weight.requires_grad
    group = net.groups[0]
    assert group[0].weight[:24].equal(nn.init.dirac_(torch.empty(24, 24, 3, 3)))


def test_a_mirrored_network_gives_images_and_their_mirror_images_the_same():
    network, images = mirrored_conv_net(3, width=4).eval(), torch.rand(2, 3, 8, 8)
    assert torch.allclose(network(images), network(images.flip(3)))
    assert not torch.allclose(network.backbone(images), network.backbone(images.flip(3)))
