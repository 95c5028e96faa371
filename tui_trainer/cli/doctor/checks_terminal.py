"""The terminal, and what happens to a run when its connection drops."""

from __future__ import annotations

import locale
import os
import shutil
import sys
from collections.abc import Mapping

from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.doctor.facts import ask


def look_at_terminal() -> list[Check]:
    """The terminal of this process."""
    encoding = locale.getpreferredencoding(False)
    return check_terminal(sys.stdout.isatty(), os.environ, encoding, shutil.get_terminal_size((80, 24)))


def check_terminal(
    is_terminal: bool, env: Mapping[str, str], encoding: str, columns_lines: tuple[int, int]
) -> list[Check]:
    """Colour, characters and size.

    Args:
        is_terminal: stdout is one.
        env: the environment.
        encoding: of the locale.
        columns_lines: the terminal's size.
    """
    term = env.get("TERM", "")
    unicode = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    checks = []
    if not is_terminal:
        checks.append(Check("terminal", "ok", "stdout is not a terminal: plain lines, no bars"))
    elif term in ("", "dumb", "unknown"):
        found = f"TERM={term or 'is not set'}: bars can't be drawn"
        checks.append(Check("terminal", "warn", found, "export TERM=xterm-256color"))
    else:
        true = env.get("COLORTERM", "").lower() in ("truecolor", "24bit")
        colour = "no colour (NO_COLOR)" if env.get("NO_COLOR") else "truecolor" if true else _colours(term)
        columns, lines = columns_lines
        found = f"{term}, {colour}, {columns}×{lines}" if unicode else f"{term}, {colour}, {columns}x{lines}"
        small = columns < 80 or lines < 24
        fix = "make it 80 columns by 24 lines or larger, or output is cut" if small else ""
        checks.append(Check("terminal", "warn" if small else "ok", found, fix))
    if not unicode:
        fix = "export LC_ALL=C.UTF-8"
        checks.append(Check("characters", "warn", f"{encoding}: bars and marks need UTF-8", fix))
    elif is_terminal and term == "linux":
        found = "the Linux console's font has no braille: the spinner shows as boxes"
        checks.append(Check("characters", "warn", found, "use a graphical terminal, or SSH in from one"))
    else:
        sample = ": ⣿⠋ █ ★ should show two braille cells, a block, a star" if is_terminal else ""
        checks.append(Check("characters", "ok", f"{encoding}{sample}"))
    return checks


def _colours(term: str) -> str:
    """How many colours TERM promises."""
    return "256 colours" if "256" in term else "8 or 16 colours"


def look_at_tmux() -> list[Check]:
    """tmux, where this process is inside one."""
    if not os.environ.get("TMUX"):
        return []
    passthrough = ask(["tmux", "show-options", "-gwv", "allow-passthrough"])
    return [check_tmux(passthrough, ask(["tmux", "show-options", "-sv", "set-clipboard"]))]


def check_tmux(passthrough: str | None, clipboard: str | None) -> Check:
    """Whether copying and notifications get through tmux. None: tmux did not answer."""
    missing = []
    if passthrough in ("off", ""):
        missing.append("set -g allow-passthrough on")
    if clipboard == "off":
        missing.append("set -s set-clipboard on")
    if missing:
        fix = f"in ~/.tmux.conf: {'; '.join(missing)}"
        return Check("tmux", "warn", "copying or notifications from programs don't reach your terminal", fix)
    if passthrough is None and clipboard is None:
        return Check("tmux", "warn", "tmux did not answer")
    return Check(
        "tmux", "ok", f"allow-passthrough {passthrough or 'unknown'}, set-clipboard {clipboard or 'unknown'}"
    )


def check_session(env: Mapping[str, str]) -> Check:
    """What happens when the connection drops."""
    inside = "tmux" if env.get("TMUX") else "screen" if env.get("STY") else ""
    if inside:
        return Check("session", "ok", f"inside {inside}")
    if env.get("SSH_CONNECTION") or env.get("SSH_TTY"):
        found = "SSH without tmux or screen: a lost connection leaves the run alone, but nothing shows it"
        return Check(
            "session", "warn", found, "start in tmux or screen; tui-train show last tells how it stands"
        )
    return Check("session", "ok", "local (not SSH)")
