"""`--json`: the lines of events.jsonl as they are."""

from __future__ import annotations

from tui_trainer.headless.sink import Sink


class JsonPrinter:
    """Copies each line, one write a batch.

    Args:
        sink: where the lines go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def show(self, lines: list[bytes]) -> None:
        if lines:
            self._sink.write_bytes(b"".join(lines))

    def close(self) -> None:
        """All has been written."""

    def abandon(self) -> None:
        """There is nothing to clean up."""
