"""A line of text with a cursor, and the keys that edit it."""

from __future__ import annotations


class Line:
    """One line that is being edited. At first all of it is selected: what is typed takes its place.

    Attributes:
        text: as it is now.
        cursor: before which character typing goes on.
        selected: all of it is.
    """

    def __init__(self, text: str, selected: bool = False) -> None:
        self.text = text
        self.cursor = len(text)
        self.selected = selected and bool(text)

    def insert(self, text: str) -> None:
        """Type or paste."""
        if self.selected:
            self.text, self.cursor, self.selected = "", 0, False
        text = "".join(character for character in text if character.isprintable())
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def key(self, key: str) -> bool:
        """Do what a key does in a line of text. False if that is nothing."""
        begin, end = self.cursor, self.cursor
        selected, self.selected = self.selected, False
        match key:
            case "backspace" | "ctrl+h" | "delete" | "ctrl+d" if selected:
                begin, end = 0, len(self.text)
            case "left":
                self.cursor = max(0, self.cursor - 1)
            case "right":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "home" | "ctrl+a":
                self.cursor = 0
            case "end" | "ctrl+e":
                self.cursor = len(self.text)
            case "ctrl+left":
                self.cursor = self._word_before()
            case "ctrl+right":
                self.cursor = self._word_after()
            case "backspace" | "ctrl+h":
                begin = max(0, begin - 1)
            case "delete" | "ctrl+d":
                end = min(len(self.text), end + 1)
            case "ctrl+w" | "alt+backspace":
                begin = self._word_before()
            case "ctrl+u":
                begin = 0
            case "ctrl+k":
                end = len(self.text)
            case _:
                self.selected = selected
                return False
        if begin != end:
            self.text = self.text[:begin] + self.text[end:]
            self.cursor = begin
        return True

    def _word_before(self) -> int:
        left = self.text[: self.cursor].rstrip(" /,._-")
        return max((left.rfind(mark) + 1 for mark in " /,._-"), default=0)

    def _word_after(self) -> int:
        at = self.cursor
        while at < len(self.text) and self.text[at] in " /,._-":
            at += 1
        while at < len(self.text) and self.text[at] not in " /,._-":
            at += 1
        return at
