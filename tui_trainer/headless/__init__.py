"""What a run looks like without the app: bars on a terminal, lines elsewhere, JSON lines for scripts.

Everything is read from the run directory. rich is loaded only when bars are drawn.
"""

from __future__ import annotations

from tui_trainer.headless.closing import closing_lines, closing_text
from tui_trainer.headless.modes import MODES, Mode, choose_mode
from tui_trainer.headless.watching import watch

__all__ = ["MODES", "Mode", "choose_mode", "closing_lines", "closing_text", "watch"]
