"""What `evaluate` reports, as lines for any width."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from tui_trainer.headless.scores import Shade, printed, report


def facts(counts: list[list[int]], classes: list[str]) -> dict[str, Any]:
    rows = [
        {"class": name, "precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": sum(row)}
        for name, row in zip(classes, counts, strict=True)
    ]
    return {
        "run_id": "r",
        "checkpoint": "checkpoints/model_3.pt",
        "epoch": 3,
        "step": 30,
        "split": "test",
        "samples": sum(map(sum, counts)),
        "metrics": {"test/loss": 0.25, "test/accuracy": "NaN"},
        "classes": classes,
        "per_class": rows,
        "confusion": counts,
    }


def texts(found: dict[str, Any], width: int) -> list[str]:
    return ["".join(text for text, _ in line) for line in report(found, width)]


def test_a_small_matrix_is_shown_with_its_names_and_shades() -> None:
    lines = report(facts([[8, 2], [0, 5]], ["cat", "dog"]), 80)
    shown = ["".join(text for text, _ in line) for line in lines]
    assert any(line.split() == ["cat", "8", "2"] for line in shown)
    assert any(line.split() == ["dog", "·", "5"] for line in shown)
    shades = [role for line in lines for _, role in line if isinstance(role, Shade)]
    assert shades == [Shade(0.8, True), Shade(0.2, False), Shade(1.0, True)]


def test_long_names_are_numbered_in_the_heading() -> None:
    names = ["a very long name of a class", "another long name"]
    shown = texts(facts([[8, 2], [0, 5]], names), 80)
    assert any(line.split() == ["1", "2"] for line in shown)
    assert any(line.startswith("1 a very long nam") and line.rstrip().endswith("2") for line in shown)


def test_many_classes_or_little_room_show_the_pairs_that_are_confused_most() -> None:
    names = [f"c{k}" for k in range(25)]
    counts = [[9 if k == j else 0 for j in range(25)] for k in range(25)]
    counts[3][7] = 4
    counts[5][1] = 6
    shown = texts(facts(counts, names), 200)
    first = next(k for k, line in enumerate(shown) if line.startswith("true"))
    assert shown[first + 1].split() == ["c5", "c1", "6", "40", "%"]
    assert shown[first + 2].split() == ["c3", "c7", "4", "31", "%"]
    small = facts([row[:10] for row in counts[:10]], names[:10])
    assert any(line.startswith("true") for line in texts(small, 34))
    assert not any(line.startswith("true") for line in texts(small, 80))


def test_no_line_is_wider_than_there_is_room() -> None:
    found = facts([[8, 2], [0, 5]], ["a very long name of a class", "x"])
    for width in (30, 36, 50, 72):
        # The line about the split wraps.
        assert max(map(cell_len, texts(found, width)[2:])) <= width


def test_names_of_white_space_are_seen() -> None:
    assert [printed(name) for name in ("\n", " ", "", "é", "\x1b[2J")] == [
        r"'\n'",
        "' '",
        "''",
        "é",
        r"'\x1b[2J'",
    ]


def test_a_regression_has_its_metrics_alone() -> None:
    found = facts([[1]], ["a"])
    for key in ("classes", "per_class", "confusion"):
        del found[key]
    assert texts(found, 80)[2:] == ["test/loss      0.2500", "test/accuracy     NaN"]
