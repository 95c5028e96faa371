"""Which stretch of the x axis a chart shows."""

from __future__ import annotations

from dataclasses import dataclass

from tui_trainer.ui.widgets.scale import Scale


@dataclass(frozen=True)
class View:
    """A stretch of the x axis.

    Attributes:
        width: of the stretch; None for all that there is.
        end: its right edge; None for the newest point, whatever comes.
    """

    width: float | None = None
    end: float | None = None

    def span(self, full: Scale) -> Scale:
        """The stretch of an axis that reaches from the first point to the newest."""
        if self.width is None:
            return full
        end = full.high if self.end is None else self.end
        return Scale(end - self.width, end)

    def zoomed(self, full: Scale, factor: float, around: float | None, smallest: float) -> View:
        """The view that shows less (a factor above 1) or more.

        Args:
            full: from the first point to the newest.
            factor: how much less.
            around: the place that stays where it is; None for the right edge.
            smallest: least width.
        """
        span, whole = self.span(full), full.high - full.low
        width = span.high - span.low
        new = max(width / factor, min(smallest, whole), whole * 1e-6)
        if new >= whole:
            return ALL
        if around is None:
            return View(new, self.end)
        return _within(full, new, around + (span.high - around) * new / width)

    def moved(self, full: Scale, by: float) -> View:
        """The view that lies further to the right, or to the left if `by` is negative."""
        if self.width is None:
            return self
        return _within(full, self.width, self.span(full).high + by)


ALL = View()


def _within(full: Scale, width: float, end: float) -> View:
    """A view that stays on the data, and follows what comes if it ends at the newest point."""
    end = max(end, full.low + width)
    return View(width, None if end >= full.high else end)
