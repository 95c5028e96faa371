"""Whether systemd lets a run outlive the logout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.cli.doctor.check import Check
from tui_trainer.cli.doctor.facts import read


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


def logind_texts(root: Path = Path("/")) -> list[str]:
    """logind.conf and its drop-ins in the order in which systemd reads them."""
    folders = [root / part / "systemd" for part in ("etc", "run", "usr/local/lib", "usr/lib")]
    main = [path for folder in folders if (path := folder / "logind.conf").is_file()][:1]
    drop_ins: dict[str, Path] = {}
    for folder in folders:
        for path in (folder / "logind.conf.d").glob("*.conf"):
            # The same name in an earlier folder replaces it.
            drop_ins.setdefault(path.name, path)
    return [read(path) for path in (*main, *(drop_ins[name] for name in sorted(drop_ins)))]


def look_at_logout() -> list[Check]:
    """The logout rules for this user, where systemd runs the machine."""
    if not Path("/run/systemd/system").is_dir():
        return []
    import getpass

    user = getpass.getuser()
    linger = Path("/var/lib/systemd/linger", user).exists()
    session_scope = "/session-" in read("/proc/self/cgroup")
    return [check_logout(parse_logind_conf(*logind_texts()), user, linger, session_scope)]


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
            "logout", "ok", "KillUserProcesses=yes, but lingering is on and this is no login session"
        )
    fix = "loginctl enable-linger; then systemd-run --user --scope tui-train …"
    return Check(
        "logout", "warn", "KillUserProcesses=yes: logout kills every run, even in tmux or with nohup", fix
    )
