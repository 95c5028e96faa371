"""Which runs come from which. Reads run.json alone: a folder may hold thousands of runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_trainer.runs.index import run_roots
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.reader import RunReader, is_run
from tui_trainer.runs.state import Parent, parent_of


@dataclass(frozen=True)
class Kin:
    """A run as its run.json tells of it.

    Attributes:
        root: the run directory.
        run_id: its id; a copied run has that of the one it was copied from.
        created: unix seconds; 0 where it isn't known.
        parent: where it came from; None for one that began with random weights.
    """

    root: Path
    run_id: str
    created: float
    parent: Parent | None


class Lineage:
    """The family of a run, among the runs of its folder and those that their records lead to.

    Args:
        root: the run directory.

    Attributes:
        run: the run itself.
    """

    def __init__(self, root: Path) -> None:
        self.run = _kin(root.resolve())
        folder = [_kin(found.resolve()) for found in run_roots(self.run.root.parent)]
        self._by_root = {kin.root: kin for kin in folder} | {self.run.root: self.run}
        self._by_id = {kin.run_id: kin for kin in folder}
        self._children: dict[Path, list[Kin]] = {}
        for kin in sorted(folder, key=lambda kin: (kin.created, kin.root.name)):
            if (parent := self._parent(kin)) is not None:
                self._children.setdefault(parent.root, []).append(kin)

    def ancestors(self) -> list[Kin]:
        """The runs that this one comes from, the nearest first. Where one is gone, they end."""
        found: list[Kin] = []
        known = {self.run.root}
        kin = self._parent(self.run)
        # Records that were copied or edited may lead in a circle.
        while kin is not None and kin.root not in known:
            known.add(kin.root)
            found.append(kin)
            kin = self._parent(kin)
        return found

    def children(self) -> list[Kin]:
        """The runs that come from this one, the oldest first."""
        return [kin for depth, kin in self.descendants() if depth == 1]

    def descendants(self) -> Iterator[tuple[int, Kin]]:
        """Children and theirs, each after its parent, with its depth (from 1). No run comes twice."""
        known = {kin.root for kin in (self.run, *self.ancestors())}
        waiting = [(1, kin) for kin in reversed(self._children.get(self.run.root, []))]
        while waiting:
            depth, kin = waiting.pop()
            if kin.root not in known:
                known.add(kin.root)
                yield depth, kin
                waiting += [(depth + 1, child) for child in reversed(self._children.get(kin.root, []))]

    def _parent(self, kin: Kin) -> Kin | None:
        """The run that one comes from: where its record says, else the one of that id in the folder."""
        parent = kin.parent
        if parent is None or not parent.run_id:
            return None
        try:
            root = (kin.root / parent.run_dir).resolve()
        except (OSError, ValueError, RuntimeError):
            # No path at all, or links that lead in a circle.
            return self._by_id.get(parent.run_id)
        named = self._by_root.get(root) or (_kin(root) if is_run(root) else None)
        if named is not None and named.run_id == parent.run_id:
            return named
        return self._by_id.get(parent.run_id)


def _kin(root: Path) -> Kin:
    run = RunReader(root).run()
    created = as_number(run.get("created"))
    return Kin(
        root,
        str(run.get("run_id") or root.name),
        created if math.isfinite(created) else 0.0,
        parent_of(run.get("parent")),
    )
