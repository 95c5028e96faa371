"""What a `control` event says, whatever it holds."""

from __future__ import annotations

from typing import Any

import pytest

from tui_trainer.headless.control_words import control_text


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"action": "pause", "step": 1234}, "paused at step 1,234"),
        ({"action": "unpause", "step": 7}, "goes on at step 7"),
        ({"action": "stop", "value": "now", "step": 7}, "stopping at step 7"),
        (
            {"action": "stop", "value": "epoch_end", "step": 7},
            "stopping at the end of this epoch, asked at step 7",
        ),
        (
            {"action": "save", "path": "checkpoints/model_3+12.pt", "step": 7},
            "saved model_3+12.pt at step 7",
        ),
        (
            {"action": "set", "value": {"lr": 3e-4}, "old": {"lr": 1e-3}, "step": 7},
            "lr 0.001 → 0.0003 from step 8 on",
        ),
        ({"action": "pin", "value": None, "step": 7}, "the run is pinned"),
        ({"action": "unpin", "value": "7", "step": 7}, "model_7.pt is no longer pinned"),
        ({"action": "rm", "value": "7", "step": 7}, "model_7.pt is deleted, with its companions"),
        ({"action": "rm", "value": "7", "error": "it is best"}, "rm 7 refused: it is best"),
        ({"action": "set", "value": {"lr": 1}, "error": "no"}, "set lr=1 refused: no"),
        ({"action": "new\x1b[2J", "value": [1], "step": "?"}, "new [1] at step 0"),
        ({}, "None at step 0"),
    ],
)
def test_each_event_is_a_few_words(event: dict[str, Any], text: str) -> None:
    assert control_text(event) == text
