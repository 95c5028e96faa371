"""Random streams: one seed decides them all, and each can be saved, restored and kept apart.

Three global generators matter (Python's, NumPy's, torch's), plus one for each CUDA device in use.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """Hash whole numbers into a 63-bit seed (splitmix64's finaliser), the same on every machine.

    Neighbouring inputs give unrelated seeds, so epoch 1 of seed 2 is not epoch 2 of seed 1.
    """
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state + (number & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators (torch's on all devices)."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.manual_seed(seed)


def seed_host(seed: int) -> None:
    """Seed the host's generators only: cheap enough for every batch."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)


def host_state() -> dict[str, Any]:
    """States of the host's generators, in types that `torch.load(weights_only=True)` reads."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ],
        "torch": torch.default_generator.get_state(),
    }


def set_host_state(state: dict[str, Any]) -> None:
    """Set what `host_state` returned."""
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    torch.default_generator.set_state(state["torch"])


def state_dict(device: torch.device) -> dict[str, Any]:
    """States of the host's generators and of the device in use."""
    state = host_state()
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    elif device.type == "xpu":
        state["xpu"] = torch.xpu.get_rng_state(device)
    return state


def load_state_dict(state: dict[str, Any], device: torch.device) -> None:
    """Set what `state_dict` returned. A state of another kind of device is left out."""
    set_host_state(state)
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])
    elif device.type == "xpu" and "xpu" in state:
        torch.xpu.set_rng_state(state["xpu"], device)


@contextmanager
def preserved(device: torch.device) -> Iterator[None]:
    """Leave all streams as they were: evaluation, samples and probes must not change training."""
    state = state_dict(device)
    try:
        yield
    finally:
        load_state_dict(state, device)


class Stream:
    """A private stream of the host's generators, entered and left like a context.

    A user's own loader draws from it, so its order depends on nothing but the seed.
    """

    def __init__(self, seed: int) -> None:
        outer = host_state()
        seed_host(seed)
        self._state = host_state()
        set_host_state(outer)

    def __enter__(self) -> None:
        self._outer = host_state()
        set_host_state(self._state)

    def __exit__(self, *_: object) -> None:
        self._state = host_state()
        set_host_state(self._outer)
