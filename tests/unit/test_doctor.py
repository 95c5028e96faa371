"""`tui-train doctor`, fed with made-up machines."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.cli.doctor import (
    checks_device,
    checks_disk,
    checks_limits,
    checks_logout,
    checks_python,
    checks_terminal,
    command,
    examine,
    facts,
    facts_cgroup,
    facts_device,
)
from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.doctor.checks_logout import Logind

GPU = {"name": "NVIDIA H200", "total": 150_000_000_000, "free": 149_000_000_000}
NVML = {"gpus": [GPU, GPU], "driver": "550.54", "cuda": "12.4", "kernel_module": True}
TORCH = {
    "version": "2.13.0+cu126",
    "cuda": "12.6",
    "available": True,
    "names": ["NVIDIA H200"] * 2,
    "bf16": True,
}
CPU_TORCH = {"version": "2.13.0+cpu", "cuda": None, "available": False}


def levels(checks: list[Check] | Check) -> list[str]:
    return [check.level for check in (checks if isinstance(checks, list) else [checks])]


def test_python_and_venv() -> None:
    assert levels(checks_python.check_python((3, 12, 1), True)) == ["ok"]
    assert levels(checks_python.check_python((3, 10, 4), True)) == ["bad"]
    venv = checks_python.check_python((3, 11, 2), False)[1]
    assert venv.level == "warn"
    assert "python3-venv" in venv.fix


def test_torch() -> None:
    assert checks_device.check_torch(TORCH) == Check("torch", "ok", "2.13.0+cu126, CUDA 12.6 build")
    assert checks_device.check_torch(CPU_TORCH).found == "2.13.0+cpu, CPU build"
    old = checks_device.check_torch({**CPU_TORCH, "version": "2.9.1"})
    assert old.level == "bad"
    assert "2.10" in old.fix
    missing = checks_device.check_torch({"error": "ModuleNotFoundError: No module named 'torch'"})
    assert missing.level == "bad"
    assert "pip install" in missing.fix


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", "killed by signal 11"),
        ("import time; time.sleep(60)", "did not end"),
        ('print(\'{"version": "9.9"\')', "exit code 0"),
    ],
)
def test_a_torch_that_dies_or_hangs_is_a_finding(code: str, part: str) -> None:
    assert part in facts_device.torch_facts(code, timeout_s=1.0)["error"]


def test_gpus_that_torch_can_use() -> None:
    checks = checks_device.check_device(NVML, TORCH, None)
    assert levels(checks) == ["ok"] * 3
    assert checks[0].found == "NVIDIA H200, 149.0 GB free of 150.0 GB"


@pytest.mark.parametrize(
    ("torch", "visible", "level", "part"),
    [
        (CPU_TORCH, None, "bad", "no CUDA"),
        ({**TORCH, "cuda": "13.0", "available": False}, None, "bad", "driver is too old"),
        (TORCH, "", "warn", "hides every GPU"),
        (TORCH, "-1", "warn", "hides every GPU"),
        ({**TORCH, "available": False, "errors": ["error 802"]}, None, "bad", "error 802"),
        ({**TORCH, "errors": ["cuda:1: out of memory"]}, None, "warn", "cuda:1: out of memory"),
        ({"error": "OSError: libcudart"}, None, "bad", "torch does not load"),
        ({**TORCH, "names": ["NVIDIA H200"]}, "1", "ok", "torch sees 1 of 2"),
    ],
)
def test_gpus_that_torch_cannot_use(
    torch: dict[str, Any], visible: str | None, level: str, part: str
) -> None:
    check = checks_device.check_device(NVML, torch, visible)[-1]
    assert check.level == level
    assert part in check.found
    assert check.fix or level == "ok"


def test_machines_without_an_nvidia_gpu() -> None:
    none = {"gpus": [], "error": "NVML Shared Library Not Found", "kernel_module": False}
    assert checks_device.check_device(none, CPU_TORCH, None) == [
        Check("device", "ok", "no GPU: training runs on the CPU")
    ]
    assert checks_device.check_device(none, {**CPU_TORCH, "mps": True}, None)[0].found == "Apple GPU (mps)"
    assert checks_device.check_device(none, {**CPU_TORCH, "xpu": True}, None)[0].found == "Intel GPU (xpu)"
    broken = checks_device.check_device({**none, "kernel_module": True}, CPU_TORCH, None)[0]
    assert broken.level == "bad"
    assert "NVML" in broken.found


def test_bf16() -> None:
    assert levels(checks_device.check_bf16(TORCH, "")) == ["ok"]
    assert levels(checks_device.check_bf16({**TORCH, "bf16": False}, "")) == ["warn"]
    assert (
        "native on the CPU" in checks_device.check_bf16(CPU_TORCH, "flags : sse avx512_bf16 amx_tile").found
    )
    assert "emulated" in checks_device.check_bf16(CPU_TORCH, "flags : sse avx2").found


def test_packages_and_compiler() -> None:
    assert levels(checks_python.check_packages(lambda name: "1.0")) == ["ok"]
    missing = checks_python.check_packages(lambda name: None if name == "textual" else "1.0")
    assert (missing.level, missing.fix) == ("bad", "pip install textual")
    assert levels([checks_python.check_compiler(None), checks_python.check_compiler("/usr/bin/g++")]) == [
        "warn",
        "ok",
    ]


def test_cgroup_limits_of_processors_and_memory() -> None:
    assert [
        facts_cgroup.parse_cpu_max(text) for text in ("max 100000\n", "150000 100000\n", "", "200000")
    ] == [
        None,
        1.5,
        None,
        2.0,
    ]
    assert [facts_cgroup.parse_memory_max(text) for text in ("max\n", "1024\n", "")] == [None, 1024.0, None]
    assert levels(checks_limits.check_processors(8, None, None)) == ["ok"]
    tight = checks_limits.check_processors(64, 4.0, None)
    assert tight.level == "warn"
    assert "OMP_NUM_THREADS=4" in tight.fix
    assert levels(checks_limits.check_processors(64, 4.0, "4")) == ["ok"]
    assert levels(checks_limits.check_memory((8 << 30, 16 << 30), None)) == ["ok"]
    assert levels(checks_limits.check_memory((8 << 30, 16 << 30), float(512 << 20))) == ["warn"]


def test_the_tightest_cgroup_above_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text("200000 100000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    assert facts_cgroup.cgroup_limit("cpu.max", tmp_path, "0::/a/b\n") == 2.0
    assert facts_cgroup.cgroup_limit("memory.max", tmp_path, "0::/a/b\n") is None


def test_shared_memory_and_open_files() -> None:
    docker = checks_limits.check_shm(64 << 20, 64 << 20)
    assert docker.level == "warn"
    assert "--shm-size" in docker.fix
    assert levels(checks_limits.check_shm(8 << 30, 8 << 30)) == ["ok"]
    assert levels(checks_limits.check_shm(8 << 30, 1 << 20)) == ["warn"]
    assert levels(checks_limits.check_open_files(65536, 65536)) == ["ok"]
    assert checks_limits.check_open_files(1024, 524288).fix == "ulimit -n 65536"
    assert "limits.conf" in checks_limits.check_open_files(1024, 1024).fix
    assert levels(checks_limits.check_open_files(128, 1024)) == ["bad"]
    assert levels(checks_limits.check_open_files(resource.RLIM_INFINITY, resource.RLIM_INFINITY)) == ["ok"]


def test_folders(tmp_path: Path) -> None:
    there = checks_disk.look_at_folder("runs folder", tmp_path, locks=True)
    assert there.level in ("ok", "warn"), there
    assert list(tmp_path.iterdir()) == []
    assert checks_disk.look_at_folder("log folder", tmp_path / "a" / "b").level == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    blocked = checks_disk.look_at_folder("runs folder", tmp_path / "file" / "runs")
    assert blocked.level == "bad"
    assert "--runs-dir" in blocked.fix


def test_folders_that_are_full_or_far_away() -> None:
    assert checks_disk.check_folder("runs folder", "/r", "", 100 << 20).level == "bad"
    assert checks_disk.check_folder("runs folder", "/r", "", 1 << 30).level == "warn"
    assert checks_disk.check_folder("runs folder", "/r", "", 1 << 40, free_inodes=0).level == "bad"
    assert "nfs4" in checks_disk.check_folder("runs folder", "/r", "", 1 << 40, "nfs4").found
    assert checks_disk.check_folder("runs folder", "/r", "file locks fail: no locks", 1 << 40).level == "bad"
    assert checks_disk.check_folder("log folder", "/r", "Read-only file system", 1 << 40).level == "warn"


def test_locks_without_effect_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_trainer.files.lock_is_held", lambda path: False)
    check = checks_disk.look_at_folder("runs folder", tmp_path, locks=True)
    assert (check.level, check.found.rpartition(": ")[2]) == ("bad", "file locks have no effect")


def test_the_file_system_is_that_of_the_longest_mount() -> None:
    mounts = "/dev/sda / ext4 rw 0 0\nserver:/h /home nfs4 rw 0 0\nx /home/my\\040runs fuse.sshfs rw 0 0\nbad"
    assert checks_disk.file_system(mounts, Path("/home/a/runs")) == "nfs4"
    assert checks_disk.file_system(mounts, Path("/home/my runs/b")) == "fuse.sshfs"
    assert checks_disk.file_system(mounts, Path("/homes")) == "ext4"
    assert checks_disk.file_system("", Path("/")) == ""


def test_logind_conf() -> None:
    shipped = "# comment\n[Login]\n#KillUserProcesses=yes\n#KillExcludeUsers=root\n"
    assert checks_logout.parse_logind_conf(shipped).kills("me")
    assert not checks_logout.parse_logind_conf(shipped).kills("root")
    assert not checks_logout.parse_logind_conf(shipped, "[Login]\nKillUserProcesses=no\n").kills("me")
    assert checks_logout.parse_logind_conf("[Login]\nKillUserProcesses = yes\nKillOnlyUsers=me you").kills(
        "you"
    )
    assert not checks_logout.parse_logind_conf("[Login]\nKillUserProcesses=yes\nKillOnlyUsers=you").kills(
        "me"
    )
    assert checks_logout.parse_logind_conf("[Other]\nKillUserProcesses=yes\n") == Logind()
    assert checks_logout.parse_logind_conf() == Logind()


def test_logind_drop_ins_are_read_in_order(tmp_path: Path) -> None:
    etc, lib = tmp_path / "etc/systemd", tmp_path / "usr/lib/systemd"
    for folder in (etc, lib):
        (folder / "logind.conf.d").mkdir(parents=True)
        (folder / "logind.conf").write_text(f"main of {folder.parent.name}")
    (lib / "logind.conf.d/10-a.conf").write_text("lib 10")
    (lib / "logind.conf.d/20-b.conf").write_text("lib 20")
    (etc / "logind.conf.d/20-b.conf").write_text("etc 20")
    assert checks_logout.logind_texts(tmp_path) == ["main of etc", "lib 10", "etc 20"]


def test_logout_and_session() -> None:
    killing = Logind(kill=True)
    assert levels(checks_logout.check_logout(Logind(kill=False), "me", False, True)) == ["ok"]
    assert levels(checks_logout.check_logout(killing, "me", True, False)) == ["ok"]
    check = checks_logout.check_logout(killing, "me", False, True)
    assert check.level == "warn"
    assert "systemd-run --user --scope" in check.fix
    assert levels(checks_terminal.check_session({"SSH_CONNECTION": "1 2 3 4"})) == ["warn"]
    assert levels(checks_terminal.check_session({"SSH_CONNECTION": "1 2 3 4", "TMUX": "x"})) == ["ok"]
    assert levels(checks_terminal.check_session({})) == ["ok"]


def test_terminals() -> None:
    good = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    assert levels(checks_terminal.check_terminal(True, good, "UTF-8", (120, 40))) == ["ok", "ok"]
    assert (
        checks_terminal.check_terminal(True, good, "utf8", (120, 40))[0].found
        == "xterm-256color, truecolor, 120×40"
    )
    assert levels(checks_terminal.check_terminal(True, good, "UTF-8", (60, 20))) == ["warn", "ok"]
    assert levels(checks_terminal.check_terminal(True, {"TERM": "dumb"}, "UTF-8", (80, 24))) == ["warn", "ok"]
    assert levels(checks_terminal.check_terminal(True, {}, "UTF-8", (80, 24))) == ["warn", "ok"]
    assert levels(checks_terminal.check_terminal(True, good, "ANSI_X3.4-1968", (80, 24))) == ["ok", "warn"]
    assert levels(checks_terminal.check_terminal(True, {"TERM": "linux"}, "UTF-8", (80, 24))) == [
        "ok",
        "warn",
    ]
    assert levels(checks_terminal.check_terminal(False, {}, "UTF-8", (80, 24))) == ["ok", "ok"]


def test_tmux() -> None:
    assert levels(checks_terminal.check_tmux("on", "external")) == ["ok"]
    assert "allow-passthrough" in checks_terminal.check_tmux("off", "on").fix
    assert "set-clipboard" in checks_terminal.check_tmux("on", "off").fix
    assert levels(checks_terminal.check_tmux(None, None)) == ["warn"]


def test_a_slow_or_missing_tool_is_no_answer() -> None:
    begin = time.monotonic()
    assert facts.ask([sys.executable, "-c", "import time; time.sleep(30)"], timeout_s=0.2) is None
    assert time.monotonic() - begin < 5
    assert facts.ask(["no-such-tool-anywhere"]) is None
    assert facts.ask([sys.executable, "-c", "print(' x ')"]) == "x"


def test_no_check_can_make_it_fail() -> None:
    def broken() -> Check:
        raise RuntimeError("odd machine")

    found = examine.guarded("thing", broken)
    assert found == [Check("thing", "warn", "could not be checked: RuntimeError: odd machine")]


def test_the_report_is_aligned_and_says_what_to_do() -> None:
    text = command.report([Check("a", "ok", "fine"), Check("longer", "bad", "broken", "mend it")])
    assert text.splitlines() == [
        "ok    a       fine",
        "bad   longer  broken",
        "              fix: mend it",
        "",
        "1 ok, 0 warnings, 1 bad",
    ]


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warn", 0), ("bad", 1)])
def test_the_exit_code(
    level: Any, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "examine", lambda runs_dir: [Check("x", level, "y", "z")])
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["doctor", "--json"])
    assert args.run(args) == code
    checks = [{"name": "x", "level": level, "found": "y", "fix": "z"}]
    assert json.loads(capsys.readouterr().out) == {"ok": code == 0, "checks": checks}


def test_this_machine(tmp_path: Path) -> None:
    checks = examine.examine(tmp_path)
    torch = next(check for check in checks if check.name == "torch")
    assert torch.found.partition(",")[0].startswith(metadata.version("torch").partition("+")[0])
    names = {check.name for check in checks}
    assert {"python", "torch", "memory", "runs folder", "terminal"} <= names
    assert not [check for check in checks if check.found.startswith("could not be checked")]


def test_it_loads_neither_torch_nor_rich() -> None:
    heavy = "('torch', 'rich', 'textual')"
    code = f"import sys, tui_trainer.cli.doctor; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
