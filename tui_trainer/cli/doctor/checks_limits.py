"""Processors, memory, shared memory and open files: what the machine, or a limit, leaves to a run."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from tui_trainer.cli.doctor.check import Check, Level
from tui_trainer.cli.tables import size


def check_processors(cores: int, quota: float | None, threads: str | None) -> Check:
    """Cores this process may use, and whether torch would start more threads than that.

    Args:
        cores: those of the affinity mask.
        quota: cores' worth of time that the cgroup allows; None for no limit.
        threads: OMP_NUM_THREADS.
    """
    found = f"{cores} core{'' if cores == 1 else 's'}"
    if quota is None or quota >= cores:
        return Check("processors", "ok", found)
    found += f", but a container or cgroup limit allows the time of {quota:g}"
    if threads:
        return Check("processors", "ok", f"{found}; OMP_NUM_THREADS={threads}")
    fix = f"export OMP_NUM_THREADS={max(1, int(quota))}: torch starts a thread for each core"
    return Check("processors", "warn", found, fix)


def check_memory(memory: tuple[int, int], limit: float | None) -> Check:
    """Memory in bytes.

    Args:
        memory: available, total.
        limit: of the cgroup; None for none.
    """
    available, total = memory
    found = f"{size(available)} available of {size(total)}"
    if limit is not None and limit < total:
        found += f"; a container or cgroup limit allows {size(limit)}"
        available = min(available, int(limit))
    if available < 1 << 30:
        fix = "end other processes or raise the limit: out of memory, a run is killed"
        return Check("memory", "warn", found, fix)
    return Check("memory", "ok", found)


def look_at_shm() -> list[Check]:
    """Shared memory, on systems that show it as a folder."""
    if not Path("/dev/shm").is_dir():
        return []
    usage = shutil.disk_usage("/dev/shm")
    return [check_shm(usage.total, usage.free)]


def check_shm(total: int, free: int) -> Check:
    """Shared memory, through which loader processes hand over batches. Sizes in bytes."""
    found = f"{size(free)} free of {size(total)}"
    if total < 1 << 30:
        fix = "docker run --shm-size=8g (or --ipc=host), or train with --num_workers 0"
        return Check("/dev/shm", "warn", f"{found}: loader processes may die of a bus error", fix)
    if free < 1 << 28:
        return Check(
            "/dev/shm", "warn", found, "remove what dead processes left there, or train with --num_workers 0"
        )
    return Check("/dev/shm", "ok", found)


def check_open_files(soft: int, hard: int) -> Check:
    """The limit of open files, which loader processes reach first."""
    if soft == resource.RLIM_INFINITY or soft >= 4096:
        return Check("open files", "ok", "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft:,}")
    most = "65536" if hard == resource.RLIM_INFINITY else str(min(65536, hard))
    fix = (
        f"ulimit -n {most}"
        if hard == resource.RLIM_INFINITY or hard > soft
        else "raise nofile in /etc/security/limits.conf"
    )
    level: Level = "bad" if soft < 256 else "warn"
    return Check("open files", level, f"up to {soft:,}: too few for many loader processes", fix)
