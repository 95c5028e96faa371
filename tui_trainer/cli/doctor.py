"""`tui-train doctor`: what is wrong on this machine, and how to fix it.

Each check is a pure function of facts; `examine` gathers the facts. No check can make the command fail: what
can't be found out is itself a finding.
"""

from __future__ import annotations

import argparse
import json
import locale
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tui_trainer.cli.tables import size
from tui_trainer.errors import Exit
from tui_trainer.runs.layout import default_runs_dir

Level = Literal["ok", "warn", "bad"]

TORCH_FLOOR = (2, 10)
PYTHON_FLOOR = (3, 11)
_TORCH_TIMEOUT_S = 120.0
_TOOL_TIMEOUT_S = 3.0
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "glusterfs",
    "afs",
    "9p",
    "virtiofs",
}
_EXTRAS = ("tensorboard", "wandb", "mlflow", "safetensors", "onnx")


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        level: ok, warn (something will be slower, uglier or riskier) or bad (training won't work as asked).
        found: what there is.
        fix: what to do; empty where nothing needs doing.
    """

    name: str
    level: Level
    found: str
    fix: str = ""


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the command line."""
    text = "check torch, device, driver, terminal, folders and limits, and say how to fix what is wrong"
    parser = subparsers.add_parser("doctor", help=text, description=text, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--runs-dir", metavar="DIR", help="the runs folder to check (default ./runs or $TUI_TRAIN_RUNS)"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    checks = examine(Path(args.runs_dir).expanduser() if args.runs_dir else default_runs_dir())
    bad = any(check.level == "bad" for check in checks)
    if args.json:
        print(json.dumps({"ok": not bad, "checks": [asdict(check) for check in checks]}))
    else:
        print(report(checks))
    return Exit.FAILED if bad else Exit.OK


def report(checks: Sequence[Check]) -> str:
    """The findings as aligned text, with what to do below what needs doing."""
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    for check in checks:
        lines.append(f"{check.level:<4}  {check.name:<{width}}  {check.found}".rstrip())
        if check.fix:
            lines.append(f"{'':<{width + 8}}fix: {check.fix}")
    counts = {level: sum(check.level == level for check in checks) for level in ("ok", "warn", "bad")}
    return "\n".join([*lines, "", f"{counts['ok']} ok, {counts['warn']} warnings, {counts['bad']} bad"])


def guarded(name: str, look: Callable[[], Check | Sequence[Check]]) -> list[Check]:
    """The findings of one look; an exception is a finding too."""
    try:
        found = look()
    except Exception as error:
        return [Check(name, "warn", f"could not be checked: {type(error).__name__}: {error}")]
    return [found] if isinstance(found, Check) else list(found)


def examine(runs_dir: Path) -> list[Check]:
    """Look at everything."""
    torch = torch_facts()
    gpus = gpu_facts()
    env = os.environ
    looks: dict[str, Callable[[], Check | Sequence[Check]]] = {
        "python": lambda: check_python(sys.version_info[:3], _has_module("ensurepip")),
        "torch": lambda: check_torch(torch),
        "device": lambda: check_device(gpus, torch, env.get("CUDA_VISIBLE_DEVICES")),
        "bfloat16": lambda: check_bf16(torch, _read("/proc/cpuinfo")),
        "packages": lambda: check_packages(_version),
        "processors": lambda: check_processors(_cores(), _cgroup("cpu.max"), env.get("OMP_NUM_THREADS")),
        "memory": lambda: check_memory(_memory(), _cgroup("memory.max")),
        "/dev/shm": _look_at_shm,
        "open files": lambda: check_open_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        "runs folder": lambda: look_at_folder("runs folder", runs_dir, locks=True),
        "config folder": lambda: look_at_folder("config folder", _platform_folder("user_config_path")),
        "log folder": lambda: look_at_folder("log folder", _platform_folder("user_log_path")),
        "logout": _look_at_logout,
        "session": lambda: check_session(env),
        "terminal": _look_at_terminal,
        "tmux": _look_at_tmux,
        "compiler": lambda: check_compiler(_compiler(env)),
        "extras": lambda: check_extras({extra: _has_module(extra) for extra in _EXTRAS}),
    }
    return [check for name, look in looks.items() for check in guarded(name, look)]


# ---------------------------------------------------------------------- Python and packages


def check_python(version: tuple[int, ...], has_ensurepip: bool) -> list[Check]:
    """The interpreter, and whether it can make virtual environments."""
    found = ".".join(map(str, version))
    floor = ".".join(map(str, PYTHON_FLOOR))
    if version < PYTHON_FLOOR:
        return [Check("python", "bad", found, f"install Python {floor} or newer")]
    checks = [Check("python", "ok", found)]
    if not has_ensurepip:
        fix = "apt install python3-venv (Debian, Ubuntu), or use uv"
        checks.append(Check("venv", "warn", "ensurepip is missing, so python -m venv fails", fix))
    return checks


def check_packages(version: Callable[[str], str | None]) -> Check:
    """What else tui-train is made of."""
    needed = (
        "textual",
        "rich",
        "numpy",
        "pydantic",
        "scikit-learn",
        "pillow",
        "psutil",
        "platformdirs",
        "nvidia-ml-py",
    )
    found = {name: version(name) for name in needed}
    missing = [name for name, there in found.items() if there is None]
    if missing:
        return Check("packages", "bad", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    shown = ", ".join(f"{name} {found[name]}" for name in ("textual", "rich", "numpy", "pydantic"))
    return Check("packages", "ok", shown)


def check_extras(there: Mapping[str, bool]) -> Check:
    """Packages that only some commands need."""
    have = ", ".join(name for name, is_there in there.items() if is_there) or "none"
    lack = ", ".join(name for name, is_there in there.items() if not is_there)
    return Check(
        "extras", "ok", f"installed: {have}" + (f"; not installed (optional): {lack}" if lack else "")
    )


def check_compiler(path: str | None) -> Check:
    """What torch.compile calls."""
    if path is None:
        return Check(
            "compiler",
            "warn",
            "no C++ compiler: --compile won't work",
            "apt install g++, or leave compile off",
        )
    return Check("compiler", "ok", path)


# ---------------------------------------------------------------------- torch and devices

# In a process of its own: a broken driver or library may kill whoever imports torch.
_TORCH_PROBE = """
import json
facts = {}
try:
    import torch
    facts = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip, "errors": []}
    facts["threads"] = torch.get_num_threads()
    facts["mps"] = torch.backends.mps.is_available()
    facts["xpu"] = torch.xpu.is_available()
    facts["available"] = torch.cuda.is_available()
    if facts["available"]:
        facts["names"] = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        facts["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        for k in range(torch.cuda.device_count()):
            try:
                (torch.ones(8, device=f"cuda:{k}") * 2).sum().item()
            except Exception as error:
                facts["errors"].append(f"cuda:{k}: {error}".splitlines()[0])
    elif facts["cuda"]:
        try:
            torch.cuda.init()
        except Exception as error:
            facts["errors"].append(str(error).splitlines()[0])
except BaseException as error:
    facts["error"] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(facts))
"""


def torch_facts(code: str = _TORCH_PROBE, timeout_s: float = _TORCH_TIMEOUT_S) -> dict[str, Any]:
    """What torch says about itself, asked in another process; `error` where it could not answer."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return {"error": f"import torch did not end within {timeout_s:.0f} s"}
    except OSError as error:
        return {"error": str(error)}
    with suppress(ValueError, IndexError):
        facts = json.loads(done.stdout.strip().splitlines()[-1])
        if isinstance(facts, dict):
            return facts
    if done.returncode < 0:
        return {"error": f"import torch was killed by signal {-done.returncode}"}
    return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}


def check_torch(torch: Mapping[str, Any]) -> Check:
    """Whether torch is there, works, and is new enough."""
    if "error" in torch:
        missing = str(torch["error"]).startswith("ModuleNotFoundError")
        fix = (
            "uv pip install torch --torch-backend=auto"
            if missing
            else "reinstall torch; the error names the library"
        )
        return Check("torch", "bad", str(torch["error"]), fix)
    version = str(torch.get("version"))
    built = (
        f"CUDA {torch['cuda']}"
        if torch.get("cuda")
        else f"ROCm {torch['hip']}"
        if torch.get("hip")
        else "CPU"
    )
    found = f"{version}, {built} build"
    if _numbers(version) < TORCH_FLOOR:
        floor = ".".join(map(str, TORCH_FLOOR))
        return Check(
            "torch", "bad", found, f"pip install -U 'torch>={floor}' (older ones run code from checkpoints)"
        )
    return Check("torch", "ok", found)


def gpu_facts() -> dict[str, Any]:
    """What NVML knows of NVIDIA GPUs, without touching CUDA; `error` where it can't be asked."""
    module = Path("/proc/driver/nvidia/version").exists()
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:
        return {"gpus": [], "error": str(error), "kernel_module": module}
    try:
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        gpus = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = _text(pynvml.nvmlDeviceGetName(handle))
            gpus.append({"name": name, "total": int(memory.total), "free": int(memory.free)})
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return {
            "gpus": gpus,
            "driver": driver,
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "kernel_module": module,
        }
    except Exception as error:
        return {"gpus": [], "error": str(error), "kernel_module": module}
    finally:
        with suppress(Exception):
            pynvml.nvmlShutdown()


def check_device(nvml: Mapping[str, Any], torch: Mapping[str, Any], visible: str | None) -> list[Check]:
    """Whether torch can use what the machine has.

    Args:
        nvml: as `gpu_facts` gives it.
        torch: as `torch_facts` gives it.
        visible: CUDA_VISIBLE_DEVICES.
    """
    gpus = nvml.get("gpus") or []
    if not gpus:
        return [_other_device(nvml, torch)]
    checks = [
        Check(f"GPU {k}", "ok", f"{gpu['name']}, {size(gpu['free'])} free of {size(gpu['total'])}")
        for k, gpu in enumerate(gpus)
    ]
    driver = f"driver {nvml.get('driver')} (up to CUDA {nvml.get('cuda')})"
    if torch.get("error"):
        return [*checks, Check("CUDA", "bad", f"{driver}; torch does not load", "see torch above")]
    wanted, offered = str(torch.get("cuda") or ""), str(nvml.get("cuda") or "")
    if not wanted:
        fix = "uv pip install --reinstall torch --torch-backend=auto, or what pytorch.org gives for CUDA"
        return [*checks, Check("CUDA", "bad", f"{driver}; this torch build has no CUDA", fix)]
    if _numbers(offered)[:1] < _numbers(wanted)[:1]:
        found = f"{driver}; torch was built for CUDA {wanted}: the driver is too old"
        fix = f"update the NVIDIA driver, or install a torch build for CUDA {offered} or older"
        return [*checks, Check("CUDA", "bad", found, fix)]
    if visible is not None and (not visible.strip() or visible.strip().startswith("-1")):
        found = f"{driver}; CUDA_VISIBLE_DEVICES={visible!r} hides every GPU"
        return [
            *checks,
            Check("CUDA", "warn", found, "unset CUDA_VISIBLE_DEVICES, unless that is what you want"),
        ]
    errors = torch.get("errors") or []
    if not torch.get("available"):
        why = "; ".join(errors) or "torch finds no usable GPU"
        fix = "compare nvidia-smi; in a container start it with --gpus all; after a driver update reboot"
        return [*checks, Check("CUDA", "bad", f"{driver}; {why}", fix)]
    if errors:
        fix = "another process may hold it (nvidia-smi), or this torch build has no code for it"
        return [*checks, Check("CUDA", "warn", "; ".join(errors), fix)]
    names = torch.get("names") or []
    seen = f"torch sees {len(names)} of {len(gpus)}" if len(names) != len(gpus) else "all usable by torch"
    return [*checks, Check("CUDA", "ok", f"{driver}; torch built for CUDA {wanted}; {seen}")]


def _other_device(nvml: Mapping[str, Any], torch: Mapping[str, Any]) -> Check:
    if torch.get("available"):
        return Check("device", "ok", ", ".join(torch.get("names") or ["GPU"]))
    if nvml.get("kernel_module"):
        found = f"the NVIDIA driver is loaded, but NVML answers: {nvml.get('error') or 'no GPU'}"
        return Check(
            "device", "bad", found, "after a driver update reboot; in a container start it with --gpus all"
        )
    for kind, name in (("mps", "Apple GPU (mps)"), ("xpu", "Intel GPU (xpu)")):
        if torch.get(kind):
            return Check("device", "ok", name)
    return Check("device", "ok", "no GPU: training runs on the CPU")


def check_bf16(torch: Mapping[str, Any], cpuinfo: str) -> Check:
    """Where bfloat16 is computed natively."""
    if torch.get("available"):
        if torch.get("bf16"):
            return Check("bfloat16", "ok", "native on the GPU")
        return Check("bfloat16", "warn", "this GPU has no bfloat16", "--precision float16 or float32")
    native = re.search(r"\b(?:avx512_bf16|amx_bf16|bf16)\b", cpuinfo) is not None
    return Check(
        "bfloat16", "ok", "native on the CPU" if native else "emulated on the CPU: slower than float32"
    )


# ---------------------------------------------------------------------- processors, memory, limits


def check_processors(cores: int, quota: float | None, threads: str | None) -> Check:
    """Cores this process may use, and whether torch would start more threads than that.

    Args:
        cores: those of the affinity mask.
        quota: cores' worth of time that the cgroup allows; None for no limit.
        threads: OMP_NUM_THREADS.
    """
    found = f"{cores} core{'' if cores == 1 else 's'}"
    if quota is None or quota >= cores:
        return Check("processors", "ok", found)
    found += f", but a cgroup allows the time of {quota:g}"
    if threads:
        return Check("processors", "ok", f"{found}; OMP_NUM_THREADS={threads}")
    fix = f"export OMP_NUM_THREADS={max(1, int(quota))}: torch starts a thread for each core"
    return Check("processors", "warn", found, fix)


def check_memory(memory: tuple[int, int], limit: float | None) -> Check:
    """Memory in bytes.

    Args:
        memory: available, total.
        limit: of the cgroup; None for none.
    """
    available, total = memory
    found = f"{size(available)} available of {size(total)}"
    if limit is not None and limit < total:
        found += f"; a cgroup allows {size(limit)}"
        available = min(available, int(limit))
    if available < 1 << 30:
        fix = "end other processes or raise the limit; the out-of-memory killer ends a run without a word"
        return Check("memory", "warn", found, fix)
    return Check("memory", "ok", found)


def parse_cpu_max(text: str) -> float | None:
    """Cores' worth of time from a cgroup's cpu.max; None for no limit."""
    quota, _, period = text.strip().partition(" ")
    if not quota.isdigit():
        return None
    return int(quota) / int(period or 100_000)


def parse_memory_max(text: str) -> float | None:
    """Bytes from a cgroup's memory.max; None for no limit."""
    return float(text) if text.strip().isdigit() else None


def check_shm(total: int, free: int) -> Check:
    """Shared memory, through which loader processes hand over batches. Sizes in bytes."""
    found = f"{size(free)} free of {size(total)}"
    if total < 1 << 30:
        fix = "docker run --shm-size=8g (or --ipc=host); or num_workers 0"
        return Check("/dev/shm", "warn", f"{found}: loader processes may die of a bus error", fix)
    if free < 1 << 28:
        return Check(
            "/dev/shm", "warn", found, "remove what dead processes left in /dev/shm; or num_workers 0"
        )
    return Check("/dev/shm", "ok", found)


def check_open_files(soft: int, hard: int) -> Check:
    """The limit of open files, which loader processes reach first."""
    if soft == resource.RLIM_INFINITY or soft >= 4096:
        return Check("open files", "ok", "no limit" if soft == resource.RLIM_INFINITY else f"{soft:,}")
    most = "65536" if hard == resource.RLIM_INFINITY else str(min(65536, hard))
    fix = (
        f"ulimit -n {most}"
        if hard == resource.RLIM_INFINITY or hard > soft
        else "raise nofile in limits.conf"
    )
    level: Level = "bad" if soft < 256 else "warn"
    return Check("open files", level, f"{soft:,}: few, with many loader processes", fix)


# ---------------------------------------------------------------------- folders


def look_at_folder(name: str, folder: Path, locks: bool = False) -> Check:
    """Try a folder that may not exist yet, by what can be written where it would be."""
    place = Path(os.path.abspath(folder))
    there = place
    while not there.exists() and there != there.parent:
        there = there.parent
    error = ""
    if not there.is_dir():
        error = f"{there} is not a folder"
    elif there == place:
        error = _try_write(there, locks)
    elif not os.access(there, os.W_OK | os.X_OK):
        error = f"it can't be created in {there}"
    usage = shutil.disk_usage(there)
    inodes = os.statvfs(there)
    kind = file_system(_read("/proc/mounts"), there)
    free_inodes = inodes.f_favail if inodes.f_files else None
    return check_folder(name, str(place), error, usage.free, kind, free_inodes)


def _try_write(folder: Path, locks: bool) -> str:
    """Why files or locks don't work in a folder; empty when they do."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x")
            file.flush()
            return _try_locks(Path(file.name)) if locks else ""
    except OSError as error:
        return error.strerror or str(error)


def _try_locks(path: Path) -> str:
    from tui_trainer.files import FileLock, lock_is_held

    lock = FileLock(path)
    try:
        lock.acquire()
        held = lock_is_held(path)
    except OSError as error:
        return f"file locks fail: {error.strerror or error}"
    finally:
        with suppress(Exception):
            lock.release()
    return "" if held else "file locks have no effect"


def check_folder(
    name: str, place: str, error: str, free: int, kind: str = "", free_inodes: int | None = None
) -> Check:
    """A folder: writable, with room, with locks.

    Args:
        name: what it is for.
        place: its path.
        error: why it can't be used; empty when it can.
        free: bytes.
        kind: type of its file system; empty where unknown.
        free_inodes: files that can still be made; None where the file system does not count.
    """
    if error:
        fix = (
            "choose another with --runs-dir or $TUI_TRAIN_RUNS"
            if name == "runs folder"
            else f"make {place} writable"
        )
        return Check(name, "bad" if name == "runs folder" else "warn", f"{place}: {error}", fix)
    network = kind.lower() in _NETWORK or kind.startswith("fuse.")
    found = f"{place}, {size(free)} free" + (
        f", on {kind}: watching from elsewhere may lag" if network else ""
    )
    if name != "runs folder":
        return Check(name, "ok" if free > 1 << 20 else "warn", found, "" if free > 1 << 20 else "make room")
    if free < 200 << 20 or free_inodes == 0:
        return Check(
            name, "bad", found if free_inodes != 0 else f"{found}, no inodes", "make room: a save needs it"
        )
    if free < 5 << 30:
        return Check(name, "warn", found, "checkpoints fill this soon: make room or set keep_checkpoints")
    return Check(name, "ok", found)


def file_system(mounts: str, path: Path) -> str:
    """The type of the file system that holds `path`, from the text of /proc/mounts; empty where unknown."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1])
        # Later mounts on the same point cover earlier ones.
        if len(point) >= len(best) and (path == Path(point) or path.is_relative_to(point)):
            best, kind = point, fields[2]
    return kind


# ---------------------------------------------------------------------- logout and session


@dataclass(frozen=True)
class Logind:
    """What logind.conf says of processes at logout.

    Attributes:
        kill: KillUserProcesses; None where it is not said.
        only: users that are killed; empty for all.
        excluded: users that are not.
    """

    kill: bool | None = None
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ("root",)

    def kills(self, user: str) -> bool:
        """Whether this user's processes are killed at logout."""
        return bool(self.kill) and user not in self.excluded and (not self.only or user in self.only)


def parse_logind_conf(*texts: str) -> Logind:
    """logind.conf and its drop-ins, in order. A commented line is the distribution's default.

    Args:
        texts: the contents of the files.
    """
    found: dict[str, str] = {}
    defaults: dict[str, str] = {}
    for text in texts:
        section = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            match = re.fullmatch(r"([#;]?)\s*(Kill\w+)\s*=\s*(.*)", line)
            if match is not None and section == "Login":
                (defaults if match[1] else found)[match[2]] = match[3].strip()
    values = defaults | found
    word = values.get("KillUserProcesses", "").lower()
    kill = True if word in ("1", "yes", "true", "on", "y", "t") else False if word else None
    only = tuple(values.get("KillOnlyUsers", "").split())
    return Logind(kill, only, tuple(values.get("KillExcludeUsers", "root").split()))


def check_logout(logind: Logind, user: str, linger: bool, session_scope: bool) -> Check:
    """Whether a run outlives the logout.

    Args:
        logind: as configured.
        user: who would train.
        linger: `loginctl enable-linger` is on.
        session_scope: this process belongs to a login session, which is what is killed.
    """
    if not logind.kills(user):
        return Check("logout", "ok", "systemd leaves processes alone at logout")
    if not session_scope and linger:
        return Check(
            "logout", "ok", "KillUserProcesses=yes, but this is outside of a login session, and lingers"
        )
    fix = "loginctl enable-linger; then systemd-run --user --scope tui-train … (tmux and nohup do not help)"
    return Check("logout", "warn", "KillUserProcesses=yes: systemd kills every run at logout", fix)


def check_session(env: Mapping[str, str]) -> Check:
    """What happens when the connection drops."""
    inside = "tmux" if env.get("TMUX") else "screen" if env.get("STY") else ""
    if inside:
        return Check("session", "ok", f"inside {inside}")
    if env.get("SSH_CONNECTION") or env.get("SSH_TTY"):
        found = "SSH without tmux or screen: the screen is lost with the connection"
        return Check(
            "session", "warn", found, "start in tmux, or with --detach; tui-train attach returns to a run"
        )
    return Check("session", "ok", "local")


# ---------------------------------------------------------------------- terminal


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
        checks.append(Check("terminal", "ok", "stdout is no terminal: plain lines, no app"))
    elif term in ("", "dumb", "unknown"):
        found = f"TERM={term or 'is not set'}: the app can't be drawn"
        checks.append(Check("terminal", "warn", found, "export TERM=xterm-256color"))
    else:
        true = env.get("COLORTERM", "").lower() in ("truecolor", "24bit")
        colour = "no colour (NO_COLOR)" if env.get("NO_COLOR") else "truecolor" if true else _colours(term)
        columns, lines = columns_lines
        found = f"{term}, {colour}, {columns}×{lines}" if unicode else f"{term}, {colour}, {columns}x{lines}"
        small = columns < 80 or lines < 24
        fix = "80 columns and 24 lines show everything" if small else ""
        checks.append(Check("terminal", "warn" if small else "ok", found, fix))
    if not unicode:
        fix = "export LANG=C.UTF-8 (or LC_ALL); or tui-train --ascii"
        checks.append(Check("characters", "warn", f"{encoding}: charts and marks need UTF-8", fix))
    elif is_terminal and term == "linux":
        found = "the Linux console's font has no braille"
        checks.append(Check("characters", "warn", found, "tui-train --ascii, or M on a chart"))
    else:
        sample = ": ⣿⠋ █ ★ should show two braille cells, a block, a star" if is_terminal else ""
        checks.append(Check("characters", "ok", f"{encoding}{sample}"))
    return checks


def _colours(term: str) -> str:
    return "256 colours" if "256" in term else "8 or 16 colours"


def check_tmux(passthrough: str | None, clipboard: str | None) -> Check:
    """Whether copying and notifications get through tmux. None: tmux did not answer."""
    missing = []
    if passthrough in ("off", ""):
        missing.append("set -g allow-passthrough on")
    if clipboard == "off":
        missing.append("set -s set-clipboard on")
    if missing:
        fix = f"in ~/.tmux.conf: {'; '.join(missing)}"
        return Check("tmux", "warn", "copying or notifications don't reach your terminal", fix)
    if passthrough is None and clipboard is None:
        return Check("tmux", "warn", "tmux did not answer")
    return Check(
        "tmux", "ok", f"allow-passthrough {passthrough or 'unknown'}, set-clipboard {clipboard or 'unknown'}"
    )


# ---------------------------------------------------------------------- gathering facts


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in match.groups(default="0")) if match else (0, 0)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _has_module(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _version(distribution: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> tuple[int, int]:
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def _cgroup(name: str, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> float | None:
    """The tightest limit of this process's cgroup and those above it (version 2); None for none."""
    parse = parse_cpu_max if name == "cpu.max" else parse_memory_max
    lines = (_read("/proc/self/cgroup") if own is None else own).splitlines()
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    folder = root / path
    folders = [folder, *(above for above in folder.parents if above.is_relative_to(root))]
    limits = [limit for place in folders if (limit := parse(_read(place / name))) is not None]
    return min(limits, default=None)


def _look_at_shm() -> list[Check]:
    if not Path("/dev/shm").is_dir():
        return []
    usage = shutil.disk_usage("/dev/shm")
    return [check_shm(usage.total, usage.free)]


def _platform_folder(function: str) -> Path:
    import platformdirs

    folder: Path = getattr(platformdirs, function)("tui-trainer", appauthor=False)
    return folder


def _look_at_logout() -> list[Check]:
    if not Path("/run/systemd/system").is_dir():
        return []
    import getpass

    user = getpass.getuser()
    linger = Path("/var/lib/systemd/linger", user).exists()
    session_scope = "/session-" in _read("/proc/self/cgroup")
    return [check_logout(parse_logind_conf(*logind_texts()), user, linger, session_scope)]


def logind_texts(root: Path = Path("/")) -> list[str]:
    """logind.conf and its drop-ins in the order in which systemd reads them."""
    folders = [root / part / "systemd" for part in ("etc", "run", "usr/local/lib", "usr/lib")]
    main = [path for folder in folders if (path := folder / "logind.conf").is_file()][:1]
    drop_ins: dict[str, Path] = {}
    for folder in folders:
        for path in (folder / "logind.conf.d").glob("*.conf"):
            # The same name in an earlier folder replaces it.
            drop_ins.setdefault(path.name, path)
    return [_read(path) for path in (*main, *(drop_ins[name] for name in sorted(drop_ins)))]


def _look_at_terminal() -> list[Check]:
    encoding = locale.getpreferredencoding(False)
    return check_terminal(sys.stdout.isatty(), os.environ, encoding, shutil.get_terminal_size((80, 24)))


def _look_at_tmux() -> list[Check]:
    if not os.environ.get("TMUX"):
        return []
    passthrough = ask(["tmux", "show-options", "-gwv", "allow-passthrough"])
    return [check_tmux(passthrough, ask(["tmux", "show-options", "-sv", "set-clipboard"]))]


def ask(command: Sequence[str], timeout_s: float = _TOOL_TIMEOUT_S) -> str | None:
    """What a tool prints; None when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _compiler(env: Mapping[str, str]) -> str | None:
    names = (env.get("CXX") or "", "g++", "c++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name.split()[0]))), None)
