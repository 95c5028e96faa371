"""Which way a metric gets better."""

from __future__ import annotations

import math
import re
from typing import Literal

Direction = Literal["min", "max"]

_LOWER_IS_BETTER = re.compile(
    r"(?<![a-z0-9])(?:loss(?:es)?|nll|b?ce|entropy|perplexity|ppl|bp[bc]|mae|mape|r?mse|rmsle|medae|err(?:ors?)?"
    r"|[ewct]er|fid|distance|divergence|kld?|residuals?|brier|hinge|deviance)(?![a-z0-9])"
)


_HIGHER_IS_BETTER = re.compile(
    r"(?<![a-z0-9])(?:acc(?:uracy)?|top_?\d+|f1|auc|auroc|ap|map|r2|iou|dice|precision|recall|hits?|exact"
    r"|bleu|rouge|psnr|ssim|snr|score|reward|return|correct|right)(?![a-z0-9])"
)


def loss_direction(metric: str) -> Direction:
    """`max` for metrics whose last part names something good, else `min`: for what is most likely a loss."""
    return "max" if _HIGHER_IS_BETTER.search(metric.rpartition("/")[2].lower()) else "min"


def better_direction(metric: str) -> Direction:
    """`min` for metrics whose last part names a loss or an error, else `max`.

    Args:
        metric: a name such as `test/loss`, `val/top1_error`, `test/accuracy`.
    """
    return "min" if _LOWER_IS_BETTER.search(metric.rpartition("/")[2].lower()) else "max"


def is_better(value: float, than: float, direction: Direction) -> bool:
    """Whether a value beats another. NaN beats nothing, and everything else beats NaN."""
    if math.isnan(value):
        return False
    if math.isnan(than):
        return True
    return value < than if direction == "min" else value > than
