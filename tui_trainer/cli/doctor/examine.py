"""Everything that is looked at, in the order in which it is reported."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.doctor.checks_device import check_bf16, check_device, check_torch
from tui_trainer.cli.doctor.checks_disk import look_at_folder
from tui_trainer.cli.doctor.checks_limits import check_memory, check_open_files, check_processors, look_at_shm
from tui_trainer.cli.doctor.checks_logout import look_at_logout
from tui_trainer.cli.doctor.checks_python import (
    check_compiler,
    check_packages,
    check_python,
)
from tui_trainer.cli.doctor.checks_terminal import check_session, look_at_terminal, look_at_tmux
from tui_trainer.cli.doctor.facts import (
    compiler,
    cores,
    has_module,
    memory,
    platform_folder,
    read,
    version_of,
)
from tui_trainer.cli.doctor.facts_cgroup import cgroup_limit
from tui_trainer.cli.doctor.facts_device import gpu_facts, torch_facts


def guarded(name: str, look: Callable[[], Check | Sequence[Check]]) -> list[Check]:
    """The findings of one look; an exception is a finding too."""
    try:
        found = look()
    except Exception as error:
        return [Check(name, "warn", f"could not be checked: {type(error).__name__}: {error}")]
    return [found] if isinstance(found, Check) else list(found)


def examine(runs_dir: Path) -> list[Check]:
    """Look at everything."""
    torch = torch_facts()
    gpus = gpu_facts()
    env = os.environ
    looks: dict[str, Callable[[], Check | Sequence[Check]]] = {
        "python": lambda: check_python(sys.version_info[:3], has_module("ensurepip")),
        "torch": lambda: check_torch(torch),
        "device": lambda: check_device(gpus, torch, env.get("CUDA_VISIBLE_DEVICES")),
        "bfloat16": lambda: check_bf16(torch, read("/proc/cpuinfo")),
        "packages": lambda: check_packages(version_of),
        "processors": lambda: check_processors(cores(), cgroup_limit("cpu.max"), env.get("OMP_NUM_THREADS")),
        "memory": lambda: check_memory(memory(), cgroup_limit("memory.max")),
        "/dev/shm": look_at_shm,
        "open files": lambda: check_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        "runs folder": lambda: look_at_folder("runs folder", runs_dir, locks=True),
        "config folder": lambda: look_at_folder("config folder", platform_folder("user_config_path")),
        "log folder": lambda: look_at_folder("log folder", platform_folder("user_log_path")),
        "logout": look_at_logout,
        "session": lambda: check_session(env),
        "terminal": look_at_terminal,
        "tmux": look_at_tmux,
        "compiler": lambda: check_compiler(compiler(env)),
    }
    return [check for name, look in looks.items() for check in guarded(name, look)]
