"""`python -m tui_trainer` and the `tui-train` command."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_trainer.cli.launcher import Report


def main() -> int:
    """Run the command line and return its exit code."""
    # Before anything else is loaded: what waits for an app stays small.
    from tui_trainer.cli.launcher import opens_app, supervise
    from tui_trainer.cli.streams import fill_closed_streams
    from tui_trainer.engine.interrupt import survive_save_requests

    fill_closed_streams()
    survive_save_requests()
    if opens_app(sys.argv[1:]):
        from tui_trainer.ui.terminal import why_unusable

        if why_unusable(os.environ, sys.stdin, sys.stderr) is None:
            return supervise(_command_line)
    code = _command_line(None)
    # All is written: a late Ctrl-C ends the process without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code


def _command_line(report: Report | None) -> int:
    from tui_trainer.cli.main import main as command_line

    return command_line(report=report)


if __name__ == "__main__":
    sys.exit(main())
