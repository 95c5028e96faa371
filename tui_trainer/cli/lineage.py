"""The family of a run as a small tree."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tui_trainer.cli.tables import number
from tui_trainer.headless.sink import encodes
from tui_trainer.headless.words import near_path, one_line
from tui_trainer.runs.index import summarise
from tui_trainer.runs.lineage import Kin, Lineage
from tui_trainer.runs.state import Parent

MOST = 40
"""Descendants that are drawn."""

Node = tuple[int, str]
"""Depth in the tree, and what is said there."""


def lineage_lines(root: Path) -> list[str]:
    """Where a run comes from and what came from it; empty for a run without family."""
    lineage = Lineage(root)
    line = [*reversed(lineage.ancestors()), lineage.run]
    nodes: list[Node] = []
    if line[0].parent is not None:
        # It came from somewhere, but there is no run any more.
        nodes.append((0, _gone(line[0].parent)))
    for kin in line:
        nodes.append((len(nodes), _described(kin, this=kin is lineage.run)))
    depth = len(nodes) - 1
    below = lineage.descendants()
    nodes += [(depth + more, _described(kin)) for more, kin in islice(below, MOST)]
    if left := sum(1 for _ in below):
        nodes.append((depth + 1, f"{left} more"))
    if len(nodes) == 1:
        return []
    return drawn(nodes, plain=not encodes(sys.stdout.encoding or "ascii", "└─├│·"))


def drawn(nodes: Sequence[Node], plain: bool = False) -> list[str]:
    """A tree, line by line.

    Args:
        nodes: each after its parent, the first of depth 0.
        plain: with ASCII characters only.
    """
    last, other, on = ("`- ", "|- ", "|  ") if plain else ("└─ ", "├─ ", "│  ")

    def goes_on(index: int, level: int) -> bool:
        """Whether a later node hangs on the same branch."""
        later = next((depth for depth, _ in nodes[index + 1 :] if depth <= level), -1)
        return later == level

    lines = []
    for index, (depth, text) in enumerate(nodes):
        before = "".join(on if goes_on(index, level) else "   " for level in range(1, depth))
        mark = (other if goes_on(index, depth) else last) if depth else ""
        lines.append(f"{before}{mark}{text.replace('·', '-') if plain else text}")
    return lines


def child_facts(kin: Kin) -> dict[str, Any]:
    """What `show --json` says of a child."""
    assert kin.parent is not None
    place = {"checkpoint": kin.parent.checkpoint, "step": kin.parent.step}
    return {"run_id": kin.run_id, "run_dir": str(kin.root), "kind": kin.parent.kind, **place}


def _described(kin: Kin, this: bool = False) -> str:
    """`fork @7  20261121-031415-digits-7f3a  finished · epoch 20 · test/loss 0.0412   (this run)`."""
    how = ""
    if kin.parent is not None:
        how = f"{kin.parent.kind}{f' @{one_line(kin.parent.checkpoint)}' if kin.parent.checkpoint else ''}  "
    summary = summarise(kin.root)
    best = summary["best"]
    facts = [summary["status"], f"epoch {summary['epoch']}"]
    facts += [f"{one_line(str(best['metric']))} {number(best['value'])}"] if best else []
    name = f" {one_line(summary['name'])}" if summary["name"] else ""
    return f"{how}{one_line(kin.root.name)}{name}  {' · '.join(facts)}{'   (this run)' if this else ''}"


def _gone(parent: Parent) -> str:
    if parent.run_id:
        return f"{one_line(parent.run_id)}  gone"
    there = Path(parent.file).is_file()
    return f"{one_line(near_path(Path(parent.file)))}{'' if there else '  gone'}"
