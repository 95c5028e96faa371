"""Random changes of training images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a batch of images, drawn anew each time from torch's global random state.

    Attributes:
        flip: mirror left and right, each image with probability ½.
        crop: shift by up to this many pixels each way; the border is filled with the edge's own values.
        rotate: turn by up to this many degrees either way.
    """

    flip: bool = False
    crop: int = 0
    rotate: float = 0.0

    def __bool__(self) -> bool:
        return self.flip or self.crop > 0 or self.rotate > 0

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [batch, channels, height, width] -> the same."""
        n, _, height, width = images.shape
        if self.flip:
            mirrored = torch.rand(n) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if self.crop:
            down = torch.randint(-self.crop, self.crop + 1, (n, 1))
            right = torch.randint(-self.crop, self.crop + 1, (n, 1))
            rows = (torch.arange(height) + down).clamp(0, height - 1)
            columns = (torch.arange(width) + right).clamp(0, width - 1)
            each = torch.arange(n)[:, None, None]
            images = images[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.rotate:
            images = _turned(images, (torch.rand(n) * 2 - 1) * self.rotate)
        return images.contiguous()


def _turned(images: Tensor, degrees: Tensor) -> Tensor:
    height, width = images.shape[2:]
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # affine_grid measures both sides from −1 to 1, so an image that is not square needs its ratio.
    matrix = torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], 1).view(
        -1, 2, 3
    )
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    turned = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return turned.round().clamp(0, 255).to(torch.uint8)
