"""torch and the devices it can use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.tables import size

TORCH_FLOOR = (2, 10)


def check_torch(torch: Mapping[str, Any]) -> Check:
    """Whether torch is there, works, and is new enough."""
    if "error" in torch:
        missing = str(torch["error"]).startswith("ModuleNotFoundError")
        fix = (
            "uv pip install torch --torch-backend=auto"
            if missing
            else "reinstall torch; the error names the library that fails"
        )
        return Check("torch", "bad", str(torch["error"]), fix)
    version = str(torch.get("version"))
    built = (
        f"CUDA {torch['cuda']}"
        if torch.get("cuda")
        else f"ROCm {torch['hip']}"
        if torch.get("hip")
        else "XPU"
        if torch.get("xpu")
        else "Metal"
        if torch.get("mps")
        else "CPU"
    )
    found = f"{version}, {built} build"
    if _numbers(version) < TORCH_FLOOR:
        floor = ".".join(map(str, TORCH_FLOOR))
        return Check(
            "torch", "bad", found, f"pip install -U 'torch>={floor}' (older ones may run code in checkpoints)"
        )
    return Check("torch", "ok", found)


def check_device(nvml: Mapping[str, Any], torch: Mapping[str, Any], visible: str | None) -> list[Check]:
    """Whether torch can use what the machine has.

    Args:
        nvml: as `gpu_facts` gives it.
        torch: as `torch_facts` gives it.
        visible: CUDA_VISIBLE_DEVICES.
    """
    gpus = nvml.get("gpus") or []
    if not gpus:
        return [_other_device(nvml, torch)]
    checks = [
        Check(f"GPU {k}", "ok", f"{gpu['name']}, {size(gpu['free'])} free of {size(gpu['total'])}")
        for k, gpu in enumerate(gpus)
    ]
    driver = f"driver {nvml.get('driver')} (up to CUDA {nvml.get('cuda')})"
    if torch.get("error"):
        return [*checks, Check("CUDA", "bad", f"{driver}; torch does not load", "see torch above")]
    wanted, offered = str(torch.get("cuda") or ""), str(nvml.get("cuda") or "")
    if not wanted:
        fix = "uv pip install --reinstall torch --torch-backend=auto (or see pytorch.org)"
        return [*checks, Check("CUDA", "bad", f"{driver}; this torch build has no CUDA", fix)]
    if _numbers(offered)[:1] < _numbers(wanted)[:1]:
        found = f"{driver}; torch was built for CUDA {wanted}: the driver is too old"
        fix = f"update the NVIDIA driver, or install a torch build for CUDA {offered} or older"
        return [*checks, Check("CUDA", "bad", found, fix)]
    if visible is not None and (not visible.strip() or visible.strip().startswith("-1")):
        found = f"{driver}; CUDA_VISIBLE_DEVICES={visible!r} hides every GPU"
        return [
            *checks,
            Check("CUDA", "warn", found, "unset CUDA_VISIBLE_DEVICES, unless that is what you want"),
        ]
    errors = torch.get("errors") or []
    if not torch.get("available"):
        why = "; ".join(errors) or "torch finds no usable GPU"
        fix = "see nvidia-smi; after a driver update reboot; docker run needs --gpus all"
        return [*checks, Check("CUDA", "bad", f"{driver}; {why}", fix)]
    if errors:
        fix = "see nvidia-smi for who holds it; or this torch build has no code for it"
        return [*checks, Check("CUDA", "warn", "; ".join(errors), fix)]
    names = torch.get("names") or []
    seen = f"torch sees {len(names)} of {len(gpus)}" if len(names) != len(gpus) else "torch sees all"
    return [*checks, Check("CUDA", "ok", f"{driver}; torch is for CUDA {wanted}; {seen}")]


def _other_device(nvml: Mapping[str, Any], torch: Mapping[str, Any]) -> Check:
    """What trains where NVML shows no GPU."""
    if torch.get("available"):
        return Check("device", "ok", ", ".join(torch.get("names") or ["GPU"]))
    if nvml.get("kernel_module"):
        found = f"the NVIDIA driver is loaded, but NVML answers: {nvml.get('error') or 'no GPU'}"
        return Check("device", "bad", found, "after a driver update reboot; docker run needs --gpus all")
    for kind, name in (("mps", "Apple GPU (mps)"), ("xpu", "Intel GPU (xpu)")):
        if torch.get(kind):
            return Check("device", "ok", name)
    return Check("device", "ok", "no GPU: training runs on the CPU")


def check_bf16(torch: Mapping[str, Any], cpuinfo: str) -> Check:
    """Where bfloat16 is computed natively."""
    if torch.get("available"):
        if torch.get("bf16"):
            return Check("bfloat16", "ok", "native on the GPU")
        return Check(
            "bfloat16",
            "warn",
            "this GPU has no bfloat16",
            "train with --precision float32 (the default) or float16",
        )
    native = re.search(r"\b(?:avx512_bf16|amx_bf16|bf16)\b", cpuinfo) is not None
    return Check(
        "bfloat16", "ok", "native on the CPU" if native else "emulated on the CPU: slower than float32"
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor number of a version; zeros where it has none."""
    match = re.match(r"(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in match.groups(default="0")) if match else (0, 0)
