"""The interpreter, packages and the compiler."""

from __future__ import annotations

from collections.abc import Callable

from tui_trainer.cli.doctor.check import Check

PYTHON_FLOOR = (3, 11)


def check_python(version: tuple[int, ...], has_ensurepip: bool) -> list[Check]:
    """The interpreter, and whether it can make virtual environments."""
    found = ".".join(map(str, version))
    floor = ".".join(map(str, PYTHON_FLOOR))
    if version < PYTHON_FLOOR:
        return [Check("python", "bad", found, f"install Python {floor} or newer")]
    checks = [Check("python", "ok", found)]
    if not has_ensurepip:
        fix = "apt install python3-venv (Debian, Ubuntu), or use uv"
        checks.append(Check("venv", "warn", "ensurepip is missing, so python -m venv fails", fix))
    return checks


def check_packages(version: Callable[[str], str | None]) -> Check:
    """What else tui-train is made of."""
    needed = (
        "textual",
        "rich",
        "numpy",
        "pydantic",
        "scikit-learn",
        "pillow",
        "psutil",
        "platformdirs",
        "nvidia-ml-py",
    )
    found = {name: version(name) for name in needed}
    missing = [name for name, there in found.items() if there is None]
    if missing:
        return Check("packages", "bad", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    shown = ", ".join(f"{name} {found[name]}" for name in ("textual", "rich", "numpy", "pydantic"))
    return Check("packages", "ok", shown)


def check_compiler(path: str | None) -> Check:
    """What torch.compile calls."""
    if path is None:
        return Check(
            "compiler",
            "warn",
            "no C++ compiler: --compile won't work",
            "apt install g++, or train without --compile (the default)",
        )
    return Check("compiler", "ok", path)
