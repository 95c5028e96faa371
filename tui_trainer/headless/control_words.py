"""What a `control` event says, in a few words. The same in every form of output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui_trainer.headless.words import one_line
from tui_trainer.runs.json_values import as_number


def control_text(event: Mapping[str, Any]) -> str:
    """`paused at step 1,234`, `lr 0.001 → 0.0003 from step 1,235 on`, `rm 7 refused: …`."""
    action, value = one_line(str(event.get("action"))), event.get("value")
    if "error" in event:
        asked = f"{action} {_plain(value)}".strip()
        return f"{asked} refused: {one_line(str(event['error']))}"
    number = as_number(event.get("step"))
    step = int(number) if number >= 0 else 0
    here = f"at step {step:,}"
    if action == "pause":
        return f"paused {here}"
    if action == "unpause":
        return f"goes on {here}"
    if action == "stop":
        return (
            f"stopping at the end of this epoch, asked {here}" if value == "epoch_end" else f"stopping {here}"
        )
    if action == "save":
        return f"saved {_leaf(event.get('path'))} {here}"
    if action == "set" and isinstance(value, Mapping):
        old = event.get("old")
        before = f"{as_number(old.get('lr')):g} → " if isinstance(old, Mapping) else ""
        return f"lr {before}{as_number(value.get('lr')):g} from step {step + 1:,} on"
    if action in ("pin", "unpin"):
        what = "the run" if value is None else f"model_{_plain(value)}.pt"
        return f"{what} is {'pinned' if action == 'pin' else 'no longer pinned'}"
    if action == "rm":
        return f"model_{_plain(value)}.pt is deleted, with its companions"
    return f"{action} {_plain(value)}".strip() + f" {here}"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{one_line(str(key))}={one_line(str(part))}" for key, part in value.items())
    return "" if value is None else one_line(str(value))


def _leaf(path: Any) -> str:
    return one_line(str(path or "")).rpartition("/")[2]
