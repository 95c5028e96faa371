"""The machine's load, sampled by the training process into its own record."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from tui_trainer.runs.writer import RunWriter

if TYPE_CHECKING:
    import torch

HEARTBEAT_S = 5.0


class SystemSampler:
    """A thread that writes `system` events and the heartbeat.

    Samples come once a second at first and up to ten seconds apart in long runs, so that a week's record
    stays small.

    Args:
        writer: the record.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-sampler", daemon=True)
        self._gpus: list[tuple[int, Any]] = []

    def start(self) -> None:
        self._thread.start()

    def watch_device(self, device: torch.device) -> None:
        """Sample a CUDA device through NVML too. Where that can't be read, it is left out."""
        if device.type != "cuda":
            return
        with suppress(Exception):
            import pynvml

            from tui_trainer.engine.device import nvml_handle

            pynvml.nvmlInit()
            self._gpus = [(device.index, nvml_handle(device.index))]

    def stop(self) -> None:
        """End the thread. Returns at once; a sample under way is finished."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        begin = sampled = time.monotonic()
        # The first call only starts the measurement of the CPU's share.
        process = psutil.Process()
        with suppress(Exception):
            psutil.cpu_percent()
            process.cpu_percent()
        while True:
            interval = min(10.0, max(1.0, (time.monotonic() - begin) / 300.0))
            if self._stop.wait(min(interval, HEARTBEAT_S)):
                return
            now = time.monotonic()
            with suppress(Exception):
                self._writer.heartbeat()
                # A little early counts: the wait ends on time, the clock is read after it.
                if now - sampled >= 0.9 * interval:
                    sampled = now
                    self._writer.event("system", **sample(process, self._gpus))


def sample(process: psutil.Process, gpus: list[tuple[int, Any]]) -> dict[str, Any]:
    """One sample of load.

    Returns:
        cpu (percent of all cores), cpu_process (percent of one core), ram_used, ram_total, rss (bytes), and
        per GPU index, utilisation (percent), memory_used, memory_total (bytes), temperature (°C), power (W);
        what can't be read is left out.
    """
    memory = psutil.virtual_memory()
    values: dict[str, Any] = {
        "cpu": psutil.cpu_percent(),
        "cpu_process": process.cpu_percent(),
        "ram_used": memory.total - memory.available,
        "ram_total": memory.total,
        "rss": process.memory_info().rss,
    }
    if gpus:
        values["gpus"] = [{"index": index, **_gpu(handle)} for index, handle in gpus]
    return values


def _gpu(handle: Any) -> dict[str, Any]:
    import pynvml

    values: dict[str, Any] = {}
    with suppress(Exception):
        values["utilisation"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
    with suppress(Exception):
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        values["memory_used"], values["memory_total"] = int(info.used), int(info.total)
    with suppress(Exception):
        values["temperature"] = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    with suppress(Exception):
        values["power"] = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000.0
    return values
