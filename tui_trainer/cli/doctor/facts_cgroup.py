"""Limits that a container or a batch system sets by control groups (version 2)."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.cli.doctor.facts import read


def cgroup_limit(name: str, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> float | None:
    """The tightest limit of this process's cgroup and those above it; None for none."""
    parse = parse_cpu_max if name == "cpu.max" else parse_memory_max
    lines = (read("/proc/self/cgroup") if own is None else own).splitlines()
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    folder = root / path
    folders = [folder, *(above for above in folder.parents if above.is_relative_to(root))]
    limits = [limit for place in folders if (limit := parse(read(place / name))) is not None]
    return min(limits, default=None)


def parse_cpu_max(text: str) -> float | None:
    """Cores' worth of time from a cgroup's cpu.max; None for no limit."""
    quota, _, period = text.strip().partition(" ")
    if not quota.isdigit():
        return None
    return int(quota) / int(period or 100_000)


def parse_memory_max(text: str) -> float | None:
    """Bytes from a cgroup's memory.max; None for no limit."""
    return float(text) if text.strip().isdigit() else None
