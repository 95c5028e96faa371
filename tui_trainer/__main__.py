"""`python -m tui_trainer` and the `tui-train` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from tui_trainer.cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
