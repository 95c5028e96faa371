"""Export docs/train.svg from a real run: python docs/export_screenshot.py"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMAND = ["--preset", "digits", "--epochs", "8", "--scheduler", "constant"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NO_COLOR": "1"}
        command = [sys.executable, "-m", "tui_trainer", "--no-ui", *COMMAND]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=folder, env=environment
        )
    lines = done.stdout.splitlines()
    console = Console(record=True, width=max(map(len, lines)) + 2, file=io.StringIO())
    console.print(Text(f"$ tui-train {' '.join(COMMAND)}", style="bold cyan"))
    for line in lines:
        starred = "★" in line
        console.print(Text(line, style="green" if starred else ""), no_wrap=True, crop=True)
    target = Path(__file__).with_name("train.svg")
    target.write_text(console.export_svg(title="tui-train", unique_id="train"))
    print(target)


if __name__ == "__main__":
    main()
