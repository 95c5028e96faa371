"""The launcher: what a shell and a terminal are left with, whatever becomes of the process behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pseudo import PseudoTerminal, process_state, wait_until
from tui_trainer.cli.launcher import opens_app

SCRIPT = """
import os, signal, sys, time, tty
from pathlib import Path
from tui_trainer.cli.launcher import supervise

def child(report):
{body}

sys.exit(supervise(child))
"""

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    opened = PseudoTerminal()
    yield opened
    opened.close()


@pytest.fixture
def start(terminal: PseudoTerminal, tmp_path: Path) -> Start:
    """Start a launcher whose child runs these lines."""

    def run(body: str) -> subprocess.Popen[bytes]:
        lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
        (tmp_path / "script.py").write_text(SCRIPT.format(body=lines))
        return terminal.start([str(tmp_path / "script.py")], cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("name", "says"),
    [("SIGSEGV", "native code"), ("SIGKILL", "memory"), ("SIGABRT", "console.log"), ("SIGUSR2", "")],
)
def test_a_crash_leaves_a_usable_terminal_and_says_what_happened(
    name: str, says: str, start: Start, terminal: PseudoTerminal
) -> None:
    process = start(f"""
tty.setraw(0)
os.write(2, b"\\x1b[?1049h\\x1b[?25l\\x1b[?1000h\\x1b[>1u\\x1b[?2004h")
os.kill(os.getpid(), signal.{name})
""")
    assert process.wait(30) == 128 + getattr(signal, name)
    terminal.see("--resume RUN")
    assert terminal.restored
    assert f"ended by {name}" in terminal.text
    assert says in terminal.text
    after = terminal.text.partition("\x1b[?2004h")[2]
    for sequence in ("[<u", "[?1000l", "[?2004l", "[?2048l", "[?1004l", "[?1049l", "[?25h", "[0m"):
        assert f"\x1b{sequence}" in after
    # What is said comes on the normal screen.
    assert after.index("\x1b[?1049l") < after.index("error: ")


def test_an_exit_in_order_passes_its_code_on_and_writes_nothing(
    start: Start, terminal: PseudoTerminal
) -> None:
    process = start("return 42")
    assert process.wait(30) == 42
    assert terminal.text == ""


def test_a_death_before_the_app_was_drawn_moves_no_cursor(start: Start, terminal: PseudoTerminal) -> None:
    process = start("os.kill(os.getpid(), signal.SIGKILL)")
    assert process.wait(30) == 137
    terminal.see("--resume RUN")
    assert "\x1b" not in terminal.text


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_to_the_launcher_reaches_the_child_once(
    name: str, start: Start, terminal: PseudoTerminal
) -> None:
    process = start(f"""
signals = {{signal.{name}, signal.SIGALRM}}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
assert signal.sigwait(signals) == signal.{name}
signal.alarm(1)
return 7 if signal.sigwait(signals) == signal.SIGALRM else 8
""")
    terminal.see("ready")
    process.send_signal(getattr(signal, name))
    assert process.wait(30) == 7


def test_ctrl_c_of_the_terminal_reaches_the_child_once(start: Start, terminal: PseudoTerminal) -> None:
    process = start("""
signals = {signal.SIGINT, signal.SIGALRM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
assert signal.sigwait(signals) == signal.SIGINT
signal.alarm(1)
return 7 if signal.sigwait(signals) == signal.SIGALRM else 8
""")
    terminal.see("ready")
    terminal.press("\x03")
    assert process.wait(30) == 7


def test_detaching_gives_the_prompt_back_while_the_child_lives_in_a_session_of_its_own(
    start: Start, terminal: PseudoTerminal, tmp_path: Path
) -> None:
    process = start("""
Path("pid").write_text(str(os.getpid()))
os.setsid()
report("training goes on: tui-train attach 7f3a")
while not Path("go").exists():
    time.sleep(0.01)
Path("session").write_text(str(os.getsid(0)))
return 3
""")
    assert process.wait(30) == 0
    terminal.see("training goes on: tui-train attach 7f3a")
    pid = int((tmp_path / "pid").read_text())
    assert process_state(pid) not in ("", "Z")
    (tmp_path / "go").touch()
    wait_until(
        lambda: (tmp_path / "session").exists() and (tmp_path / "session").read_text(), "the child's end"
    )
    assert int((tmp_path / "session").read_text()) == pid


def test_after_a_hang_up_the_launcher_goes_and_the_child_stays(
    start: Start, terminal: PseudoTerminal, tmp_path: Path
) -> None:
    process = start("""
def gone(*_):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.setsid()
    report("")
signal.signal(signal.SIGHUP, gone)
print("ready", flush=True)
while not Path("go").exists():
    time.sleep(0.01)
Path("done").touch()
""")
    terminal.see("ready")
    terminal.hang_up()
    assert process.wait(30) == 129
    (tmp_path / "go").touch()
    wait_until((tmp_path / "done").exists, "the child's end")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_suspended_app_suspends_the_launcher_so_that_the_shell_notices(
    start: Start, terminal: PseudoTerminal
) -> None:
    process = start("""
os.kill(os.getpid(), signal.SIGSTOP)
return 5
""")
    wait_until(lambda: process_state(process.pid) == "T", "a stopped launcher")
    os.killpg(process.pid, signal.SIGCONT)
    assert process.wait(30) == 5


@pytest.mark.parametrize(
    ("words", "opens"),
    [
        ("", True),
        ("digits --lr 1e-3", True),
        ("--preset digits --start", True),
        ("attach", True),
        ("attach --help", False),
        ("digits --no-ui", False),
        ("digits --no_ui", False),
        ("digits --json", False),
        ("digits --quiet", False),
        ("digits --check", False),
        ("digits --detach", False),
        ("digits -h", False),
        ("--version", False),
        ("runs", False),
        ("show last", False),
    ],
)
def test_only_what_wants_the_app_gets_a_launcher(words: str, opens: bool) -> None:
    assert opens_app(words.split()) is opens


def test_what_waits_for_an_app_loads_next_to_nothing() -> None:
    code = """
import sys
import tui_trainer.__main__, tui_trainer.cli.launcher, tui_trainer.ui.terminal
print([name for name in ("pydantic", "textual", "rich", "numpy", "torch", "asyncio") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_name_of_a_run_may_be_no_text(start: Start, terminal: PseudoTerminal) -> None:
    process = start("""
report("training goes on: " + os.fsdecode(bytes([98, 255])))
""")
    assert process.wait(30) == 0
    terminal.see("training goes on: b?")
