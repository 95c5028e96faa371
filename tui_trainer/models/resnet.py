"""A small residual network, as He et al. used it for CIFAR-10 (arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = 3


class Block(nn.Module):
    """relu(x + two 3 × 3 convolutions of x), with BatchNorm after each.

    Where stride or channels change, the shortcut is a 1 × 1 convolution (He et al.'s option B).
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        # Each block begins as the identity, which steadies the first steps.
        nn.init.zeros_(self.bn2.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[batch, n_in, h, w] -> [batch, n_out, h / stride, w / stride], rounded up."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of residual blocks with `width`, 2 and 4 times `width` channels.

    `n_blocks` 3 and `width` 16 are the paper's ResNet-20 (6 · n_blocks + 2 layers). Images of more than 64
    pixels are halved twice by the stem, as in the ImageNet networks, so that cost stays bounded.

    Args:
        channels: channels of an image: 1 gray, 3 RGB.
        size: height and width of an image, in pixels.
        width: channels of the first stage.
        n_blocks: residual blocks of each stage, ≥ 1.
        n_out: outputs.
        dropout: part of the last features set to 0 in training.
        first: applied to the raw images, for example `Standardize`.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        width: int,
        n_blocks: int,
        n_out: int,
        dropout: float = 0.0,
        first: nn.Module | None = None,
    ) -> None:
        super().__init__()
        large = min(size) > 64
        stem: list[nn.Module] = [first] if first is not None else []
        stem += [nn.Conv2d(channels, width, 3, stride=2 if large else 1, padding=1, bias=False)]
        stem += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        if large:
            stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.stem = nn.Sequential(*stem)
        blocks: list[nn.Module] = []
        n_in = width
        for stage in range(STAGES):
            n = width * 2**stage
            for block in range(n_blocks):
                blocks.append(Block(n_in, n, stride=2 if stage > 0 and block == 0 else 1))
                n_in = n
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(n_in, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] -> [batch, n_out]."""
        # A mean instead of AdaptiveAvgPool2d, whose gradient on CUDA is not deterministic.
        return self.head(torch.mean(self.blocks(self.stem(x)), dim=(2, 3)))  # type: ignore[no-any-return]
