"""What the app remembers from one session to the next.

Losing it costs nothing, so no trouble with it is an error.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_trainer.files import write_json


def settings_path() -> Path:
    """The file of this user's settings."""
    from platformdirs import user_config_path

    return user_config_path("tui-trainer", appauthor=False) / "settings.json"


class Settings:
    """Values by name, kept in a JSON file.

    Args:
        path: the file; None to remember nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        if path is not None:
            with suppress(OSError, ValueError, RecursionError):
                content = json.loads(path.read_bytes())
                self._values = content if isinstance(content, dict) else {}

    def get(self, name: str, default: Any) -> Any:
        """A value; `default` where none of the default's type is remembered."""
        value = self._values.get(name, default)
        return value if default is None or isinstance(value, type(default)) else default

    def set(self, name: str, value: Any) -> None:
        """Remember a value."""
        if self._values.get(name) == value:
            return
        self._values[name] = value
        if self._path is not None:
            # A name that is no text, as of a path, can't be written.
            with suppress(OSError, ValueError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_json(self._path, self._values, durable=False)
