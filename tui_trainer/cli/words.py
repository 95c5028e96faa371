"""The words of a command line, sorted before argparse sees them.

argparse alone would take `-1e-3` for a flag, the value of an unknown flag for the task, and `--batch-size`
and `--batch_size` for two flags. Here every word becomes a flag with its value, a switch or a positional, so
argparse only meets `--flag=value`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tui_trainer.config.problems import suggestion
from tui_trainer.errors import UsageError


@dataclass
class Words:
    """A sorted command line.

    Attributes:
        flags: (name with underscores, value), in the order typed; True for a switch.
        positionals: words that are neither flags nor their values.
        unsure: values of unknown flags, which may be positionals after all.
        unknown: names of flags that are neither switches nor valued.
        help: `-h` or `--help` was among them.
    """

    flags: list[tuple[str, str | bool]] = field(default_factory=list)
    positionals: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    help: bool = False

    def get(self, name: str) -> str | bool | None:
        """The last value given to a flag."""
        return next((value for key, value in reversed(self.flags) if key == name), None)

    def for_argparse(self, dashed: Collection[str]) -> list[str]:
        """The same command line in words that argparse can't misread.

        Args:
            dashed: flags that argparse knows with dashes instead of underscores.
        """
        spelled = [(name.replace("_", "-") if name in dashed else name, value) for name, value in self.flags]
        flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in spelled]
        return [*self.positionals, *flags, *(["--help"] if self.help else [])]


def sort_words(argv: Sequence[str], switches: Collection[str], valued: Collection[str]) -> Words:
    """Sort a command line.

    Args:
        argv: the words after the program's name.
        switches: names of flags without a value, with underscores.
        valued: names of flags with one value.

    Raises:
        UsageError: a valued flag has no value, or a word starts with a single dash.
    """
    words = Words()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words.positionals += rest
            break
        if word in ("-h", "--help"):
            words.help = True
        elif word == "-V":
            words.flags.append(("version", True))
        elif word.startswith("--"):
            _sort_flag(word, rest, words, switches, valued)
        elif word.startswith("-") and len(word) > 1:
            raise UsageError(
                "unknown option", word, "options are spelled out with two dashes; see tui-train --help"
            )
        else:
            words.positionals.append(word)
    return words


def _sort_flag(
    word: str, rest: list[str], words: Words, switches: Collection[str], valued: Collection[str]
) -> None:
    spelled, equals, value = word[2:].partition("=")
    name = spelled.replace("-", "_")
    follows = bool(rest) and not rest[0].startswith("--")
    if name in switches:
        if equals:
            raise UsageError(
                "wrong option", f"--{spelled} takes no value, got {value!r}", f"--{spelled} or nothing"
            )
        words.flags.append((name, True))
    elif equals:
        words.flags.append((name, value))
        if name not in valued:
            words.unknown.append(spelled)
    elif name in valued:
        if not follows:
            raise UsageError("missing value", f"--{spelled} needs a value", f"--{spelled} VALUE")
        words.flags.append((name, rest.pop(0)))
    else:
        words.unknown.append(spelled)
        if follows:
            words.unsure.append(rest.pop(0))


def refuse_unknown(words: Words, known: Collection[str], where: str = "tui-train --help") -> None:
    """Raise for unknown flags, all at once, with suggestions.

    Raises:
        UsageError: there are some.
    """
    if not words.unknown:
        return
    lines = [f"--{name}{suggestion(name, sorted(known))}" for name in words.unknown]
    raise UsageError(
        "unknown option" if len(lines) == 1 else "unknown options",
        "\n  ".join(lines),
        f"{where} shows every option",
    )
