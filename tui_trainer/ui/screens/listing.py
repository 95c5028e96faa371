"""What the lists of runs and of checkpoints have in common: a table, a filter, an order, details."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Input

from tui_trainer.errors import TrainerError, did_you_mean
from tui_trainer.headless.words import one_line
from tui_trainer.ui.query import Query, QueryError, Record, parse_query
from tui_trainer.ui.screens.page import WIDE, Page
from tui_trainer.ui.widgets.lines import Line, Lines
from tui_trainer.ui.widgets.prompt import Prompt
from tui_trainer.ui.widgets.table import Cell, Column, Table

Item = TypeVar("Item")

AGES_S = 15.0
"""How often ages are written anew while nothing else changes."""


@dataclass(frozen=True)
class Order(Generic[Item]):
    """One way to sort.

    Attributes:
        column: the name of the column that shows it.
        word: how a person calls it.
        key: of an item; None for what has no value, which comes last either way.
        descending: whether the largest comes first at first.
    """

    column: str
    word: str
    key: Callable[[Item], Any]
    descending: bool = False


class ListPage(Page, Generic[Item]):
    """A table that is filtered and sorted, with the details of the current row below or beside it.

    A subclass says what the items are; `tick` shows them anew when `version` has changed.

    Attributes:
        ORDERS: the ways to sort; the first is the usual one.
        REMEMBERED: the name of the setting that keeps the order.
        NOUN: what an item is called.
    """

    CSS_PATH = "listing.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-tall")]
    ORDERS: ClassVar[Sequence[Order[Any]]] = ()
    REMEMBERED: ClassVar[str] = ""
    NOUN: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.table: Table[Item] = Table((), self.cells, self.key, id="table")
        self._facts = Lines(id="facts")
        self._details = Lines(id="details")
        self._filter = Prompt(id="filter", placeholder="text  key=value  key<value  key>value  key!=value")
        self._query, self._wrong = Query(), ""
        self._version: object = None
        self._total = 0
        self._aged = 0.0
        self._order: Order[Any] | None = None
        self._descending = False

    # ------------------------------------------------------------------ what a subclass says

    def columns(self) -> Sequence[Column]:
        """The columns for the current width."""
        raise NotImplementedError

    def cells(self, item: Item) -> Sequence[Cell]:
        """The cells of an item, one a column."""
        raise NotImplementedError

    def key(self, item: Item) -> Hashable:
        """What tells an item from the others."""
        raise NotImplementedError

    def items(self) -> Sequence[Item]:
        """All there are."""
        raise NotImplementedError

    def version(self) -> Hashable:
        """Something that differs when the items do."""
        raise NotImplementedError

    def record(self, item: Item) -> Record:
        """What the filter is held against."""
        raise NotImplementedError

    def details(self, item: Item, wide: bool) -> Sequence[Line]:
        """What is said of the current item; `wide` where there is a panel for it."""
        raise NotImplementedError

    def facts(self) -> Iterable[tuple[str, str]]:
        """More for the line above the table: pieces of text with their roles."""
        return ()

    def nothing(self) -> str:
        """What is said where there is no item at all."""
        raise NotImplementedError

    # ------------------------------------------------------------------ showing

    def content(self) -> ComposeResult:
        yield self._facts
        yield self._filter
        with Container(id="body"):
            yield self.table
            yield self._details

    def on_mount(self) -> None:
        word, _, way = str(self.trainer.settings.get(self.REMEMBERED, "")).partition(":")
        self._order = next((order for order in self.ORDERS if order.column == word), self.ORDERS[0])
        self._descending = way == "down" if way else self._order.descending
        self._filter.display = False
        self.table.set_columns(self.columns())
        self.table.focus()

    def tick(self) -> None:
        if self._order is None:
            return
        version = self.version()
        if version != self._version:
            self._version = version
            self.rebuild()
        elif time.monotonic() - self._aged > AGES_S:
            if self._query:
                # What is filtered by age comes and goes with time alone.
                self.rebuild()
            self.refresh_cells()
        self.ticked()

    def ticked(self) -> None:
        """More to do at every tick."""

    def rebuild(self) -> None:
        """Filter, sort and show all items again."""
        items = self.items()
        self._total = len(items)
        if self._query:
            query, record = self._query, self.record
            items = [item for item in items if query.matches(record(item))]
        self.table.set_empty(
            self.nothing() if not self._total else "nothing passes the filter; esc clears it"
        )
        self.table.set_rows(self._sorted(items))
        self._aged = time.monotonic()
        if self._order is not None:
            self.table.set_sorted(self._order.column, self._descending)
        self.show_facts()
        self.show_details()

    def refresh_cells(self, keys: Iterable[Hashable] | None = None) -> None:
        """Ask again for the cells of these rows, or of all."""
        self._aged = time.monotonic() if keys is None else self._aged
        self.table.refresh_rows(None if keys is None else set(keys))
        self.show_details()

    def _sorted(self, items: Sequence[Item]) -> list[Item]:
        order = self._order or self.ORDERS[0]
        having: list[tuple[Any, Item]] = []
        lacking: list[tuple[Any, Item]] = []
        for item in items:
            value = order.key(item)
            (lacking if value is None else having).append((value, item))
        having.sort(key=lambda pair: pair[0], reverse=self._descending)
        return [item for _, item in (*having, *lacking)]

    def show_facts(self) -> None:
        """Say how many are shown, and why not all."""
        shown, total = len(self.table.rows), self._total
        noun = self.NOUN if total == 1 else f"{self.NOUN}s"
        line: list[tuple[str, str]] = [(" ", "")]
        line.append((f"{shown:,} of {total:,} {noun}" if shown != total else f"{total:,} {noun}", "strong"))
        if self._wrong:
            line.append((f"   {one_line(self._wrong)}: all are shown", "bad"))
        elif self._query and not self._filter.display:
            line.append((f"   filter {one_line(self._filter.value)}", "accent"))
        if self._order is not None:
            line.append((f"   by {self._order.word} {'▾' if self._descending else '▴'}", "dim"))
        for text, role in self.facts():
            line.append((f"   {text}", role))
        self._facts.show([tuple(line)])

    def show_details(self) -> None:
        """Say more of the current row."""
        item = self.table.current
        self._details.show([] if item is None else self.details(item, self.size.width >= WIDE))

    def on_resize(self) -> None:
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        self.table.set_columns(self.columns())
        self.refresh_cells()

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self.show_details()
        self.refresh_bindings()

    def in_thread(self, name: str, job: Callable[[], None]) -> None:
        """Do something with files outside of the app's own thread, then look at the folder again."""
        trainer = self.trainer

        def run() -> None:
            try:
                job()
            except Exception as error:
                problem = error if isinstance(error, TrainerError) else _unforeseen(error)
                trainer.call_soon(lambda: trainer.show_error(problem))
            trainer.catalogue.watch(at_once=True)
            trainer.call_soon(self.tick)

        # Of two runs that are deleted in one breath, neither takes the other's place.
        trainer.catalogue.do((self.WHERE, name, job), run)

    def say(self, text: str) -> None:
        """Tell why something is not done."""
        self.app.notify(text, severity="warning", markup=False)

    # ------------------------------------------------------------------ filter

    def action_filter(self) -> None:
        self._filter.display = True
        self.set_focus(self._filter)
        self.show_facts()

    def apply_filter(self, text: str) -> None:
        """Show what a filter lets pass; all, and why, where it can't be understood."""
        self._wrong, self._query = "", Query()
        try:
            query = parse_query(text)
            self._refuse_unknown(query)
            self._query = query
        except QueryError as error:
            self._wrong = str(error)
        self.rebuild()

    def _refuse_unknown(self, query: Query) -> None:
        records = [self.record(item) for item in self.items()]
        for term in query.terms:
            if records and not any(term.key in record.values for record in records):
                known = sorted({key for record in records for key in record.values})
                raise QueryError(f"no {self.NOUN} has a {term.key}{did_you_mean(term.key, known)}")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.apply_filter(event.value)

    def on_input_submitted(self) -> None:
        self._leave_filter()

    def _leave_filter(self) -> None:
        self._filter.display = False
        self.table.set_columns(self.columns())
        self.set_focus(self.table)
        self.show_facts()

    def on_key(self, event: events.Key) -> None:
        if event.key == "down" and self._filter.has_focus:
            event.stop()
            self._leave_filter()

    def leave_filter(self) -> bool:
        """Clear the filter. False if there was none."""
        had = self._filter.display or bool(self._filter.value)
        self._filter.value = ""
        self._leave_filter()
        return had

    # ------------------------------------------------------------------ order

    def action_sort(self) -> None:
        assert self._order is not None
        self._sort_by(self.ORDERS[(self.ORDERS.index(self._order) + 1) % len(self.ORDERS)])

    def action_reverse(self) -> None:
        self._descending = not self._descending
        self._reorder()

    def on_table_header_clicked(self, event: Table.HeaderClicked) -> None:
        chosen = next((order for order in self.ORDERS if order.column == event.column), None)
        if chosen is not None and chosen is self._order:
            self.action_reverse()
        elif chosen is not None:
            self._sort_by(chosen)

    def _sort_by(self, order: Order[Any]) -> None:
        self._order, self._descending = order, order.descending
        self._reorder()

    def _reorder(self) -> None:
        assert self._order is not None
        way = "down" if self._descending else "up"
        self.trainer.settings.set(self.REMEMBERED, f"{self._order.column}:{way}")
        self.rebuild()


def _unforeseen(error: Exception) -> TrainerError:
    return TrainerError("that did not work", f"{type(error).__name__}: {error}")
