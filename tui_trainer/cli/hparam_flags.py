"""Command lines of subcommands that take a task's hparams beside options of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from tui_trainer.cli.options import hparam_switches, hparam_valued
from tui_trainer.cli.words import Words, refuse_unknown, sort_words
from tui_trainer.config.fields import FieldSpec
from tui_trainer.config.hparams import Hparams

Flags = dict[str, "str | bool"]
"""What was typed, by hparam."""


def part(
    argv: Sequence[str],
    switches: Collection[str],
    valued: Collection[str],
    specs_of: Callable[[Words], Mapping[str, FieldSpec]],
    where: str,
) -> tuple[list[str], Flags]:
    """Part a command line into options and hparam flags. An option of the same name goes before an hparam.

    Args:
        argv: the words after the command.
        switches: its own options without a value, with underscores.
        valued: its own options with one.
        specs_of: the hparams of the task that the words name, sorted as far as that is possible without them.
        where: the command that shows its help.

    Returns:
        Words for argparse, and the flags by hparam.

    Raises:
        UsageError: an unknown option, or one without its value.
    """
    specs = specs_of(sort_words(argv, switches, {*valued, *hparam_valued(Hparams.specs())}))
    both, all_valued = {*switches, *hparam_switches(specs)}, {*valued, *hparam_valued(specs)}
    words = sort_words(argv, both, all_valued)
    refuse_unknown(words, {*both, *all_valued}, where)
    own: list[tuple[str, str | bool]] = []
    flags: Flags = {}
    for name, value in words.flags:
        if name in switches or name in valued:
            own.append((name, value))
        elif name in specs and name != "task":
            flags[name] = value
        elif name.removeprefix("no_") in specs:
            flags[name.removeprefix("no_")] = False
    return Words(own, words.positionals, help=words.help).for_argparse(()), flags
