"""What torch and the NVIDIA driver say of the devices, each asked without the other."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_TORCH_TIMEOUT_S = 120.0

_TORCH_PROBE = """
import json
facts = {}
try:
    import torch
    facts = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip, "errors": []}
    facts["threads"] = torch.get_num_threads()
    facts["mps"] = torch.backends.mps.is_available()
    facts["xpu"] = torch.xpu.is_available()
    facts["available"] = torch.cuda.is_available()
    if facts["available"]:
        facts["names"] = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        facts["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        for k in range(torch.cuda.device_count()):
            try:
                (torch.ones(8, device=f"cuda:{k}") * 2).sum().item()
            except Exception as error:
                facts["errors"].append(f"cuda:{k}: {error}".splitlines()[0])
    elif facts["cuda"]:
        try:
            torch.cuda.init()
        except Exception as error:
            facts["errors"].append(str(error).splitlines()[0])
except BaseException as error:
    facts["error"] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(facts))
"""


def torch_facts(code: str = _TORCH_PROBE, timeout_s: float = _TORCH_TIMEOUT_S) -> dict[str, Any]:
    """What torch says about itself, asked in another process; `error` where it could not answer."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return {"error": f"import torch did not end within {timeout_s:.0f} s"}
    except OSError as error:
        return {"error": str(error)}
    with suppress(ValueError, IndexError):
        facts = json.loads(done.stdout.strip().splitlines()[-1])
        if isinstance(facts, dict):
            return facts
    if done.returncode < 0:
        return {"error": f"import torch was killed by signal {-done.returncode}"}
    return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}


def gpu_facts() -> dict[str, Any]:
    """What NVML knows of NVIDIA GPUs, without touching CUDA; `error` where it can't be asked."""
    module = Path("/proc/driver/nvidia/version").exists()
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:
        return {"gpus": [], "error": str(error), "kernel_module": module}
    try:
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        gpus = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = _text(pynvml.nvmlDeviceGetName(handle))
            gpus.append({"name": name, "total": int(memory.total), "free": int(memory.free)})
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return {
            "gpus": gpus,
            "driver": driver,
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "kernel_module": module,
        }
    except Exception as error:
        return {"gpus": [], "error": str(error), "kernel_module": module}
    finally:
        with suppress(Exception):
            pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    """A string of NVML's, which older bindings give as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
