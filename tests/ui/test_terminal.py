"""What the app does to the terminal, and what it keeps away from it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pseudo import PseudoTerminal
from tui_trainer.ui.terminal import bell, notification, title, why_unusable

REDIRECTED = """
import os, subprocess, sys, threading
from pathlib import Path
from tui_trainer.ui.console import ConsoleRedirect

log = Path("console.log")
try:
    with ConsoleRedirect() as console:
        os.write(2, b"before the run")
        with console.into(log):
            os.write(1, b"raw one\\n")
            os.write(2, b"raw two\\n")
            thread = threading.Thread(target=lambda: print("from a thread"))
            thread.start()
            thread.join()
            print("to stderr", file=sys.stderr)
            sys.stdout.buffer.write(b"bytes\\n")
            subprocess.run([sys.executable, "-c", "import sys; print('a child:', repr(sys.stdin.read()))"])
            try:
                input()
            except EOFError:
                print("no keys for the task")
            print("drawn", file=sys.__stderr__, flush=True)
            size = os.get_terminal_size(sys.__stdout__.fileno())
            print("size", size.columns, size.lines)
        os.write(1, b"after the run")
        if ENDING == "raise":
            raise KeyError("on purpose")
        if ENDING == "let go":
            console.let_go()
            print("to nobody", file=sys.__stderr__, flush=True)
            console.say("to nobody")
except KeyError:
    pass
print("afterwards")
print("and stderr", file=sys.stderr)
"""


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    opened = PseudoTerminal()
    yield opened
    opened.close()


@pytest.mark.parametrize("ending", ["in order", "raise", "let go"])
def test_only_the_app_draws_and_everything_else_is_in_the_log(
    ending: str, terminal: PseudoTerminal, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(REDIRECTED.replace("ENDING", repr(ending)))
    process = terminal.start([str(tmp_path / "script.py")], cwd=tmp_path)
    assert process.wait(60) == 0, terminal.text
    assert (tmp_path / "console.log").read_text().splitlines() == [
        "raw one",
        "raw two",
        "from a thread",
        "to stderr",
        "bytes",
        "a child: ''",
        "no keys for the task",
        "size 80 24",
    ]
    after = "" if ending == "let go" else "afterwards\r\nand stderr\r\n"
    terminal.see(f"drawn\r\n{after}")
    assert terminal.text == f"drawn\r\n{after}"


def test_a_terminal_that_dies_raises_into_nobody(terminal: PseudoTerminal, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "from tui_trainer.ui.console import ConsoleRedirect\n"
        "signal.signal(signal.SIGHUP, lambda *_: Path('gone').touch())\n"
        "with ConsoleRedirect() as console:\n"
        "    print('ready', file=sys.__stderr__, flush=True)\n"
        "    while not Path('gone').exists():\n"
        "        time.sleep(0.01)\n"
        "    print('x' * 100000, file=sys.__stderr__, flush=True)\n"
        "    console.say('y')\n"
        "    console.let_go()\n"
        "    print('z')\n"
        "Path('end').touch()\n"
    )
    process = terminal.start([str(tmp_path / "script.py")], cwd=tmp_path)
    terminal.see("ready")
    terminal.hang_up()
    assert process.wait(60) == 0
    assert (tmp_path / "end").exists()


ASKING = (
    "from tui_trainer.ui.terminal import background\nimport sys\n"
    "print(background(timeout=TIMEOUT, env={'TERM': 'xterm-256color'}))\n"
)
QUESTION, ATTRIBUTES = b"\x1b]11;?", b"\x1b[?62;c"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\" + ATTRIBUTES, "dark"),
        (b"\x1b]11;rgb:ff/ff/f0\x07" + ATTRIBUTES, "light"),
        (b"\x1b]11;rgba:fafa/fafa/fafa/ffff\x1b\\" + ATTRIBUTES, "light"),
        (ATTRIBUTES, "None"),
        (b"", "None"),
    ],
)
def test_the_background_is_what_the_terminal_says(answer: bytes, found: str, tmp_path: Path) -> None:
    terminal = PseudoTerminal({QUESTION: answer} if answer else None)
    timeout = "60" if answer else "0.05"
    (tmp_path / "script.py").write_text(ASKING.replace("TIMEOUT", timeout))
    process = terminal.start([str(tmp_path / "script.py")])
    assert process.wait(60) == 0
    terminal.see(found)
    assert terminal.restored
    # The reply is not echoed.
    assert "rgb:" not in terminal.text
    terminal.close()


def test_a_reply_that_came_while_the_app_was_loaded_is_still_used(tmp_path: Path) -> None:
    terminal = PseudoTerminal({QUESTION: b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\" + ATTRIBUTES})
    (tmp_path / "script.py").write_text(
        "import select\nfrom tui_trainer.ui.terminal import background\n"
        "wait = lambda: select.select([0], [], [], 60)\n"
        "print(background(timeout=0, meanwhile=wait, env={'TERM': 'xterm-256color'}))\n"
    )
    process = terminal.start([str(tmp_path / "script.py")])
    assert process.wait(60) == 0
    terminal.see("light")
    terminal.close()


@pytest.mark.parametrize(
    "env",
    [
        {"TERM": "tmux-256color"},
        {"TERM": "screen"},
        {"TERM": "xterm", "TMUX": "/tmp/tmux"},
        {"TERM": "dumb"},
        {"TERM": "linux"},
        {},
    ],
    ids=str,
)
def test_who_may_answer_late_or_never_is_not_asked(env: dict[str, str], tmp_path: Path) -> None:
    terminal = PseudoTerminal()
    (tmp_path / "script.py").write_text(
        f"from tui_trainer.ui.terminal import background\nprint(background(env={env!r}))\n"
    )
    process = terminal.start([str(tmp_path / "script.py")])
    assert process.wait(60) == 0
    terminal.see("None\r\n")
    assert terminal.text == "None\r\n"
    terminal.close()


def test_why_a_terminal_can_not_carry_the_app(terminal: PseudoTerminal) -> None:
    with open(terminal.slave, closefd=False) as tty:
        assert why_unusable({"TERM": "xterm"}, tty, tty) is None
        assert why_unusable({"TERM": "dumb"}, tty, tty) == "TERM=dumb"
        assert why_unusable({}, tty, tty) == "TERM is not set"
        assert why_unusable({"TERM": "xterm"}, io.StringIO(), tty) == "stdin is no terminal"
        assert why_unusable({"TERM": "xterm"}, tty, None) == "stderr is no terminal"


def test_without_a_terminal_training_happens_here_and_one_line_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tui_trainer", "digits", "--epochs", "1", "--max_steps", "2"]
    done = subprocess.run(
        [*command, "--runs-dir", "runs"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "no usable terminal (stdin is no terminal): training here, as with --no-ui\n"
    assert "finished" in done.stdout


def test_what_a_run_is_called_can_not_control_the_terminal() -> None:
    assert title("a\x1b]2;evil\x07b\n") == "\x1b]2;a ]2;evil b\x07"
    assert bell() == "\a"


def test_a_notification_is_wrapped_only_where_tmux_lets_it_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    assert notification("done", lambda: True) == "\x1b]9;done\x07"
    monkeypatch.setenv("TMUX", "/tmp/tmux")
    assert notification("done", lambda: False) == "\x1b]9;done\x07"
    assert notification("done", lambda: True) == "\x1bPtmux;\x1b\x1b]9;done\x07\x1b\\"
