"""`tui-train doctor`: what is wrong on this machine, and how to fix it.

`facts*` read the machine and `checks_*` judge: a `check_*` is a pure function of facts, and a `look_at_*`
reads as well, where only one check needs what is read. No check can make the command fail: what can't be
found out is itself a finding.
"""

from tui_trainer.cli.doctor.command import add_parser

__all__ = ["add_parser"]
