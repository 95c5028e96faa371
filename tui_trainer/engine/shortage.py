"""What an out-of-memory error tells: how much was asked for, and how much there is."""

from __future__ import annotations

import re

_AMOUNT = r"([0-9.]+ (?:bytes|[KMGTP]iB))"
_ASKED = re.compile(rf"(?:tried to allocate|unable to allocate) {_AMOUNT}", re.IGNORECASE)
_OF_A_GPU = re.compile(rf"GPU ([0-9]+) has a total capacity of {_AMOUNT}(?: of which {_AMOUNT} is free)?")
_OF_MPS = re.compile(rf"max allowed: {_AMOUNT}")


def describe(error: BaseException) -> str:
    """An out-of-memory error in words.

    Args:
        error: torch's for a GPU or its host allocator, NumPy's, or a bare `MemoryError`.

    Returns:
        `2.00 GiB asked for, 1.20 GiB of 79.10 GiB free on GPU 0`, or as much of it as is known.
    """
    text = str(error)
    asked = _ASKED.search(text)
    told = [f"{_rounded(asked[1])} asked for" if asked else "", _there_is(error, text)]
    return ", ".join(part for part in told if part) or text.strip().split("\n", 1)[0] or "no message"


def _there_is(error: BaseException, text: str) -> str:
    gpu = _OF_A_GPU.search(text)
    if gpu is not None:
        number, total, free = gpu.groups()
        return f"{free} of {total} free on GPU {number}" if free else f"{total} in all on GPU {number}"
    if mps := _OF_MPS.search(text):
        return f"{mps[1]} allowed in all"
    if isinstance(error, MemoryError) or "CPUAllocator" in text or "bad_alloc" in text:
        import psutil

        memory = psutil.virtual_memory()
        return f"{in_units(memory.available)} of {in_units(memory.total)} free on this machine"
    return ""


def _rounded(amount: str) -> str:
    number, unit = amount.split()
    return in_units(float(number)) if unit == "bytes" else amount


def in_units(count: float) -> str:
    """Bytes in the units of torch's own messages: `1.20 GiB`."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = 0
    while count >= 1024 and power < len(units) - 1:
        count, power = count / 1024, power + 1
    return f"{count:.2f} {units[power]}" if power else f"{count:.0f} bytes"
