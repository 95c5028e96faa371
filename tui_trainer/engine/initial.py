"""A new run's first weights, and what a record says of where its run came from. Light to import."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tui_trainer.runs.layout import RunLayout, run_id
from tui_trainer.runs.reader import RunReader

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a new run's model starts from.

    Attributes:
        file: a state_dict that `torch.save` wrote.
        sha256: of the file, as hex.
        layout: the run that it is a checkpoint of; None for any other file.
        entry: that checkpoint's; None for any other file.
    """

    file: Path
    sha256: str
    layout: RunLayout | None = None
    entry: Mapping[str, Any] | None = None

    def parent(self, child: RunLayout) -> dict[str, Any]:
        """What the record of a run that starts from them says of where they came from."""
        if self.layout is None or self.entry is None:
            return {"file": str(self.file.absolute()), "sha256": self.sha256, "kind": "init"}
        return parent_facts("init", self.layout, self.entry, child)

    def load_into(self, model: nn.Module, notice: Callable[[str, str], object]) -> None:
        """Give them to a model.

        Args:
            model: just built, before anything else holds its parameters.
            notice: told a title and a sentence about what somebody should know.

        Raises:
            FileError: they can't be read, or don't fit; the message names tensors.
        """
        from tui_trainer.engine.checkpoint import load_initial

        kept = load_initial(model, self.file)
        if kept:
            notice(
                "descriptions of the data differ",
                f"{', '.join(kept)} of {self.file} tell of other data; the model keeps its own",
            )


def parent_facts(
    kind: Literal["fork", "init"], layout: RunLayout, entry: Mapping[str, Any], child: RunLayout
) -> dict[str, Any]:
    """What a record says of the checkpoint that its run came from.

    Args:
        kind: whether the run goes on from there, or has only its first weights from there.
        layout: the run of the checkpoint.
        entry: the checkpoint's.
        child: the run whose record it is.
    """
    here, there = layout.root.resolve(), child.root.resolve()
    return {
        "run_id": str(RunReader(here).run().get("run_id") or run_id(layout)),
        # Runs that lie side by side are moved together.
        "run_dir": os.path.relpath(here, there) if here.parent == there.parent else str(here),
        "checkpoint": entry["tag"],
        "step": entry["step"],
        "kind": kind,
    }
