"""Which device trains, why, and what it can do."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from dataclasses import dataclass

import torch

from tui_trainer.errors import UsageError


@dataclass(frozen=True)
class Device:
    """A chosen device.

    Attributes:
        torch: the torch device, with its index where it has one.
        name: the product's name, or the kind.
        reason: why this one, in words: `cuda:1, 71 GB free of 80`.
    """

    torch: torch.device
    name: str
    reason: str


def choose_device(wanted: str) -> Device:
    """Find the device for `wanted`: auto, cpu, cuda, cuda:N, mps or xpu.

    Among several GPUs the one with most free memory is taken.

    Raises:
        UsageError: this machine lacks it.
    """
    if wanted == "auto":
        if torch.cuda.is_available() and torch.cuda.device_count() > 0:
            return _cuda(None)
        if torch.backends.mps.is_available():
            return Device(torch.device("mps"), "Apple GPU", "mps, the only GPU here")
        if torch.xpu.is_available():
            return Device(torch.device("xpu", 0), torch.xpu.get_device_name(0), "xpu, the only GPU here")
        return _cpu("no GPU that torch can use")
    kind, _, index = wanted.partition(":")
    if kind == "cpu":
        return _cpu("as asked")
    if kind == "cuda":
        if not torch.cuda.is_available():
            why = (
                "this torch build has no CUDA"
                if torch.version.cuda is None
                else "torch finds no usable NVIDIA GPU"
            )
            raise UsageError(
                "no such device", f"{wanted}: {why}", "--device auto; tui-train doctor says what is wrong"
            )
        return _cuda(int(index) if index else None)
    if kind == "mps" and torch.backends.mps.is_available():
        return Device(torch.device("mps"), "Apple GPU", "as asked")
    if kind == "xpu" and torch.xpu.is_available() and int(index or 0) < torch.xpu.device_count():
        return Device(
            torch.device("xpu", int(index or 0)), torch.xpu.get_device_name(int(index or 0)), "as asked"
        )
    raise UsageError(
        "no such device", f"{wanted} is not available on this machine", "--device auto takes what is there"
    )


def _cpu(why: str) -> Device:
    threads = torch.get_num_threads()
    return Device(torch.device("cpu"), "CPU", f"cpu, {threads} thread{'s' if threads != 1 else ''}, {why}")


def _cuda(index: int | None) -> Device:
    count = torch.cuda.device_count()
    if index is not None and index >= count:
        have = "only cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise UsageError(
            "no such device", f"cuda:{index}: this machine has {have}", "--device auto takes the freest"
        )
    memory = {k: free_total for k in range(count) if (free_total := _memory_by_nvml(k)) is not None}
    if index is None:
        # Asking torch would open a context (some 500 MB) on every GPU, so NVML ranks them.
        index = max(memory, key=lambda k: memory[k][0]) if memory else 0
    free, total = memory.get(index) or torch.cuda.mem_get_info(index)
    among = f", most free of {count}" if count > 1 else ""
    reason = f"cuda:{index}, {free / 1e9:.0f} GB free of {total / 1e9:.0f}{among}"
    return Device(torch.device("cuda", index), torch.cuda.get_device_name(index), reason)


def _memory_by_nvml(index: int) -> tuple[int, int] | None:
    """(free, total) bytes of torch's device `index`, without a CUDA context; None where NVML can't tell."""
    with suppress(Exception):
        import pynvml

        pynvml.nvmlInit()
        try:
            info = pynvml.nvmlDeviceGetMemoryInfo(nvml_handle(index))
            return int(info.free), int(info.total)
        finally:
            pynvml.nvmlShutdown()
    return None


def nvml_handle(index: int) -> object:
    """NVML's handle of torch's device `index`, honouring CUDA_VISIBLE_DEVICES (numbers, UUIDs, MIG)."""
    import pynvml

    visible = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    if not visible:
        return pynvml.nvmlDeviceGetHandleByIndex(index)
    name = visible[index]
    if name.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    return pynvml.nvmlDeviceGetHandleByUUID(name.encode())


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse a number format that the device can't compute in.

    Raises:
        UsageError: names the device and what it can do.
    """
    if precision == "float32":
        return
    dtype = getattr(torch, precision)
    lacks = (
        device.type == "cuda"
        and dtype is torch.bfloat16
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    )
    if not lacks:
        try:
            with torch.autocast(device.type, dtype=dtype), torch.no_grad():
                probe = torch.nn.functional.linear(
                    torch.ones(2, 2, device=device), torch.ones(2, 2, device=device)
                )
            lacks = probe.dtype is not dtype
        except (RuntimeError, ValueError):
            lacks = True
    if lacks:
        raise UsageError(
            "precision not supported",
            f"{device} can't compute in {precision}",
            "--precision float32 works everywhere",
        )


def release_memory(device: torch.device) -> None:
    """Give back to the device what nobody holds any more."""
    gc.collect()
    backend = getattr(torch, device.type)
    if hasattr(backend, "empty_cache"):
        backend.empty_cache()
