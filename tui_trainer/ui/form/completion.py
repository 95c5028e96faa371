"""Completing a path, as a shell does."""

from __future__ import annotations

import os


def complete_path(text: str, suffix: str = "") -> tuple[str, list[str]]:
    """Complete the last part of a path as far as it is certain.

    Args:
        text: what is typed so far; `~` stands for the home folder.
        suffix: files that end otherwise are not meant.

    Returns:
        The completed text, and the names that it can become; a folder's ends with a slash.
    """
    folder, part = os.path.split(text)
    names = []
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            for entry in entries:
                if not entry.name.startswith(part) or (
                    entry.name.startswith(".") and not part.startswith(".")
                ):
                    continue
                if entry.is_dir():
                    names.append(f"{entry.name}/")
                elif entry.name.endswith(suffix):
                    names.append(entry.name)
    except (OSError, ValueError):
        return text, []
    names.sort()
    common = _common_beginning(names)
    return (os.path.join(folder, common) if common else text), names


def _common_beginning(names: list[str]) -> str:
    first, last = (names[0], names[-1]) if names else ("", "")
    same = next(
        (k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:same]
