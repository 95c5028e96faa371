"""Checkpoints: of one run, or of all. Their `.pt` files are never opened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from tui_trainer.headless.words import age, near_path, number, one_line, short_name, size
from tui_trainer.runs import control
from tui_trainer.runs.checkpoints import remove_entries, set_pinned
from tui_trainer.runs.claim import owned
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import RunLayout
from tui_trainer.ui.catalogue import index_stamp
from tui_trainer.ui.dialogs.checkpoint import CheckpointDialog, Row, dialog_rows
from tui_trainer.ui.dialogs.evaluation import EvaluationDialog
from tui_trainer.ui.dialogs.export import ExportDialog
from tui_trainer.ui.dialogs.message import ConfirmDialog
from tui_trainer.ui.query import Record
from tui_trainer.ui.resume import resume_refusal
from tui_trainer.ui.saved import Saved, SavedList, Verifier, tensors_of
from tui_trainer.ui.screens.listing import ListPage, Order
from tui_trainer.ui.widgets.lines import BLANK, Line
from tui_trainer.ui.widgets.table import Cell, Column, Styled

METRICS = (("train", "loss"), ("test", "loss"), ("train", "accuracy"), ("test", "accuracy"))
LOOK_AGAIN_S = 10.0
"""How often files are looked at anew while no index has changed."""


def _metric_key(split: str, name: str) -> Callable[[Saved], float | None]:
    def key(saved: Saved) -> float | None:
        value = saved.metric(split, name)
        return None if value is None or value != value else value

    return key


class CheckpointsScreen(ListPage[Saved]):
    """The checkpoints of the run on Live, of a chosen run, or of all runs."""

    WHERE = "checkpoints"
    NOUN = "checkpoint"
    REMEMBERED = "checkpoints.sort"
    ORDERS: ClassVar[Sequence[Order[Saved]]] = (
        Order("age", "age", lambda saved: saved.time, descending=True),
        Order("epoch", "epoch", lambda saved: saved.place, descending=True),
        Order("test/loss", "test loss", _metric_key("test", "loss")),
        Order("test/accuracy", "test accuracy", _metric_key("test", "accuracy"), descending=True),
        Order("train/loss", "train loss", _metric_key("train", "loss")),
        Order("size", "size", lambda saved: saved.size, descending=True),
        Order("run", "run", lambda saved: (saved.run_name.lower(), saved.root.name, saved.place)),
    )

    def __init__(self) -> None:
        super().__init__()
        self._root: Path | None = None
        self._wants_all: bool | None = None
        self._saved = SavedList()
        self._asked: object = None
        self._looked = 0.0
        self._verifier = Verifier(lambda: self.trainer.call_soon(self._verified))
        self._tensors: tuple[Saved | None, list[tuple[str, str, str, str]]] = (None, [])

    def load(self, run_dir: Path | None) -> None:
        """Show the checkpoints of a run, or of all."""
        self._root, self._wants_all = run_dir, run_dir is None
        if self.is_mounted:
            self._scope_changed()

    def on_unmount(self) -> None:
        self._verifier.close()

    @property
    def scope(self) -> Path | None:
        """The run whose checkpoints are shown; None for all runs."""
        if self._wants_all:
            return None
        view = self.trainer.view
        return self._root or (view.run_dir if view is not None else None)

    # ------------------------------------------------------------------ the list

    def columns(self) -> Sequence[Column]:
        run = [Column("run", 8, grow=2, most=20, name="run")] if self.scope is None else []
        return (
            Column("file", 14, grow=1, most=20),
            *run,
            Column("epoch", 6, right=True, drop=4),
            Column("step", 7, right=True, drop=6),
            Column("train loss", 10, right=True, drop=5, name="train/loss"),
            Column("test loss", 9, right=True, drop=1, name="test/loss"),
            Column("train acc", 9, right=True, drop=8, name="train/accuracy"),
            Column("test acc", 8, right=True, drop=2, name="test/accuracy"),
            Column("size", 8, right=True, drop=7),
            Column("age", 10, right=True, drop=9),
            Column("marks", 11, grow=1, most=13, drop=3),
            Column("check", 7, drop=4),
        )

    def cells(self, item: Saved) -> Sequence[Cell]:
        epoch, batch = item.place
        values = [item.metric(split, name) for split, name in METRICS]
        return (
            Styled(item.file.name, "strong"),
            *([item.run_name] if self.scope is None else []),
            f"{epoch}+{batch}" if batch else str(epoch),
            f"{item.step:,.0f}",
            *("–" if value is None else number(value) for value in values),
            size(item.size),
            Styled(age(item.time), "dim"),
            Styled(" ".join(item.marks).replace("pinned", "pin"), "accent"),
            self._check(item),
        )

    def _check(self, saved: Saved) -> Styled:
        if self._verifier.busy is saved:
            return Styled(f"sha {100 * self._verifier.progress:.0f} %", "accent")
        found = self._verifier.found(saved)
        if found is not None:
            return Styled("BAD", "bad") if found else Styled("sha ok", "good")
        if not saved.problem:
            return Styled("ok", "")
        return Styled("MISSING" if saved.problem.endswith("missing") else "SIZE", "bad")

    def key(self, item: Saved) -> Hashable:
        return item.key

    def items(self) -> Sequence[Saved]:
        return self._saved.items

    def version(self) -> Hashable:
        self._look()
        return self._saved, self._saved.generation, self.trainer.catalogue.complete

    def _look(self) -> None:
        """Have what may have changed read in the catalogue's thread."""
        trainer, scope = self.trainer, self.scope
        if scope is None:
            trainer.catalogue.watch()
            runs = trainer.catalogue.runs if trainer.catalogue.complete else ()
            asked: object = trainer.catalogue.generation if runs else None
            listed = [(run.root, run.stamp[2], run.name, run.task) for run in runs]
        else:
            stamp = index_stamp(scope)
            asked, listed = (scope, stamp), [(scope, stamp, "", "")]
        again = time.monotonic() - self._looked > LOOK_AGAIN_S
        # The index of one run is small; of thousands a look at each file would cost the training.
        afresh = again and scope is not None
        if (asked == self._asked and not again) or asked is None:
            return
        self._asked, self._looked = asked, time.monotonic()
        saved, tell = self._saved, lambda: trainer.call_soon(self.tick)
        trainer.catalogue.do(("checkpoints", id(self)), lambda: saved.read(listed, tell, afresh))

    def _scope_changed(self) -> None:
        self._saved, self._asked = SavedList(), None
        self.table.set_columns(self.columns())
        self.tick()

    def ticked(self) -> None:
        """A run that came up on Live meanwhile takes the list with it."""
        columns = self.columns()
        self.table.set_columns(columns)
        if self._verifier.busy is not None:
            self.refresh_cells({self._verifier.busy.key})

    def record(self, item: Saved) -> Record:
        return item.record

    def nothing(self) -> str:
        scope = self.scope
        if self._saved.problems:
            return self._saved.problems[0]
        if scope is not None:
            return f"{one_line(scope.name)} has saved no checkpoint yet; A shows those of all runs"
        if not self.trainer.catalogue.complete:
            return "reading the runs folder…"
        return f"no checkpoints in {one_line(near_path(self.trainer.options.runs_dir))} yet"

    def facts(self) -> Iterator[tuple[str, str]]:
        scope = self.scope
        yield ("of all runs" if scope is None else f"of {one_line(scope.name)}"), "dim"
        if self._saved.problems:
            yield f"{len(self._saved.problems)} unreadable: {self._saved.problems[0]}", "bad"

    def details(self, item: Saved, wide: bool) -> Sequence[Line]:
        problem = self._verifier.found(item) or item.problem
        metrics = [(short_name(str(name)), number(as_number(value))) for name, value in item.metrics.items()]
        marks = ", ".join(item.marks)
        facts = " · ".join(
            text for text in (f"step {item.step:,.0f}", size(item.size), age(item.time), marks) if text
        )
        check: Line = ((problem or self._check(item).text, "bad" if problem else "dim"),)
        path = ((one_line(near_path(item.file)), "strong"),)
        if not wide:
            return (
                path,
                ((facts, ""),),
                (("  ".join(f"{name} {value}" for name, value in metrics), ""),),
                check,
            )
        lines: list[Line] = [path, ((f"run {item.run_name}", ""),), ((facts, ""),), check, BLANK]
        lines += [((f"{name:<28} ", "dim"), (value, "")) for name, value in metrics]
        if self._tensors[0] is not item:
            self._read_tensors(item)
            return [*lines, BLANK, (("reading the tensors…", "dim"),)]
        tensors = self._tensors[1]
        lines += [BLANK, ((f"{len(tensors):,} tensors   enter shows all, with the hparams", "head"),)]
        width = 22
        lines += [
            ((f"{short_name(name, width):<{width}} ", "dim"), (f"{shape:<14}", ""), (norm, "dim"))
            for name, shape, _, norm in tensors[:40]
        ]
        return lines

    def _read_tensors(self, saved: Saved) -> None:
        def read() -> None:
            self._tensors = (saved, tensors_of(saved))
            self.trainer.call_soon(shown)

        def shown() -> None:
            if self.is_current:
                self.show_details()

        self.trainer.catalogue.do(("tensors", id(self)), read)

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in (
            "resume",
            "load",
            "pin",
            "verify",
            "details",
            "copy_path",
            "delete",
            "evaluate",
            "export",
        ):
            return True if self.table.current is not None else None
        return super().check_action(action, parameters)

    def action_all_runs(self) -> None:
        if self.scope is not None:
            self._wants_all = True
        else:
            self._wants_all = False
            if self.scope is None:
                self._wants_all = True
                self.say("no run is chosen: C on Runs shows the checkpoints of one")
                return
        self._scope_changed()

    def action_details(self) -> None:
        saved = self.table.choose()
        if saved is None:
            return

        def read() -> None:
            rows = dialog_rows(saved)
            self.trainer.call_soon(lambda: show(rows))

        def show(rows: list[Row]) -> None:
            # Who went on to something else meanwhile is not interrupted.
            if self.is_current:
                self.app.push_screen(CheckpointDialog(saved, rows))

        self.trainer.catalogue.do(("details", id(self)), read)

    def on_table_row_selected(self) -> None:
        self.action_details()

    def action_verify(self) -> None:
        saved = self.table.choose()
        if saved is not None:
            self._verifier.verify(saved)

    def _verified(self) -> None:
        if self.is_current:
            self.refresh_cells()

    def action_resume(self) -> None:
        saved = self.table.choose()
        if saved is None:
            return
        later = (other for other in self.items() if other.root == saved.root and other.place > saved.place)
        if self._refused(saved):
            return
        if any(not other.problem for other in later):
            self._fork(saved)
        elif refusal := resume_refusal(saved.root):
            self.say(refusal)
        else:
            self.trainer.resume(saved.root)

    def _fork(self, saved: Saved) -> None:
        """Go on in a new run, so that nothing later is overwritten."""
        trainer = self.trainer
        if not trainer.live:
            text = f"a new run goes on from {saved.file.name} of {saved.run_name}, which stays as it is"
            self.app.notify(text, markup=False)
        trainer.start(["--fork", str(saved.file), *trainer.where])

    def action_load(self) -> None:
        saved = self.table.choose()
        if saved is None:
            return
        path = RunLayout(saved.root).parameters_file(saved.tag)
        if os.path.isfile(path):
            self.trainer.open_setup(["--preset", str(path)])
        else:
            self.say(f"{near_path(path)} is missing")

    def action_evaluate(self) -> None:
        saved = self.table.choose()
        if saved is not None and not self._refused(saved):
            self.app.push_screen(EvaluationDialog(saved))

    def action_export(self) -> None:
        saved = self.table.choose()
        if saved is not None and not self._refused(saved):
            self.app.push_screen(ExportDialog(saved), self._exported)

    def _exported(self, printed: str | None) -> None:
        if printed:
            self.app.notify(printed, markup=False)

    def _refused(self, saved: Saved) -> bool:
        """Say what is wrong with a checkpoint that can't be loaded."""
        if saved.problem:
            self.say(f"{saved.file.name}: {saved.problem}")
        return bool(saved.problem)

    def action_copy_path(self) -> None:
        saved = self.table.choose()
        if saved is not None:
            self.app.copy_to_clipboard(str(saved.file.absolute()))
            self.app.notify(f"copied {near_path(saved.file)}", markup=False)

    def action_leave(self) -> None:
        self.leave_filter()

    def action_pin(self) -> None:
        saved = self.table.choose()
        if saved is None:
            return
        layout, pinned = RunLayout(saved.root), "pinned" not in saved.marks
        if control.is_live(layout):
            self._request(saved, "pin" if pinned else "unpin")
            return

        def pin() -> None:
            with owned(layout):
                set_pinned(layout, saved.tag, pinned)

        self.in_thread("pin", pin)

    def action_delete(self) -> None:
        saved = self.table.choose()
        if saved is None:
            return
        name = saved.file.name
        if "pinned" in saved.marks:
            self.say(f"{name} is pinned: p unpins it, then it can be deleted")
            return
        live = control.is_live(RunLayout(saved.root))
        marks = " and ".join(f"the {mark}" for mark in saved.marks)
        lines = [f"{near_path(saved.file)} and its companions, {size(saved.size)}. This can't be undone."]
        lines += ["", f"It is {marks} checkpoint of the run."] if marks else []
        lines += ["", "The run is training: its trainer is asked to delete it."] if live else []
        dialog = ConfirmDialog(f"Delete {name} of {saved.run_name}?", "\n".join(lines), "delete")
        self.app.push_screen(dialog, lambda yes: self._delete(saved, live) if yes else None)

    def _delete(self, saved: Saved, live: bool) -> None:
        if live:
            self._request(saved, "rm")
            return
        layout = RunLayout(saved.root)

        def delete() -> None:
            with owned(layout):
                remove_entries(layout, [saved.tag])
            self.trainer.call_soon(lambda: self.app.notify(f"deleted {saved.file.name}", markup=False))

        self._verifier.forget(saved.key)
        self.in_thread("delete", delete)

    def _request(self, saved: Saved, action: str) -> None:
        if self.trainer.request(saved.root, action, saved.tag) is not None:
            self.app.notify(f"{saved.file.name}: asked the run's trainer to {action} it", markup=False)
