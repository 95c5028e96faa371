"""Write the README's table of keys from the app's own: python docs/write_keys.py"""

from __future__ import annotations

import re
from pathlib import Path

from tui_trainer.ui.keys import PLACES, keys_of

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(<!-- keys -->\n).*?(<!-- /keys -->)", re.DOTALL)


def table() -> str:
    """All keys in Markdown, a row a place."""
    lines = ["| where | keys |", "|---|---|"]
    for place, name in PLACES.items():
        keys = " · ".join(f"`{key.display}` {_short(key.help)}" for key in keys_of(place))
        lines.append(f"| {name} | {keys} |")
    return "\n".join(lines) + "\n"


def _short(sentence: str) -> str:
    text = sentence.rstrip(".")
    return (text[0].lower() + text[1:]).replace("|", "\\|")


def with_table(readme: str) -> str:
    """The README with the table in its place."""
    return BLOCK.sub(lambda match: match[1] + table() + match[2], readme)


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
