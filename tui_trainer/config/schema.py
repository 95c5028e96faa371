"""JSON Schema of a task's presets, so that an editor completes and checks them."""

from __future__ import annotations

from typing import Any

from tui_trainer.config.hparams import Hparams

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(hparams_class: type[Hparams], task_name: str) -> dict[str, Any]:
    """Schema (draft 2020-12) of a preset of one task.

    Args:
        hparams_class: the task's hparams.
        task_name: how the task is called.

    Returns:
        An object schema with one property per hparam and the keys that say something about the preset.
    """
    generated = hparams_class.model_json_schema()
    properties: dict[str, Any] = {
        "$schema": {"type": "string", "description": "Where this schema lies."},
        "task": {
            "type": "string",
            "default": task_name,
            "description": "What is trained: a built-in task, a task file or module:Class.",
        },
        "description": {
            "type": "string",
            "default": "",
            "description": "What this preset is good for: its command, the expected result, time and memory.",
        },
    }
    for name, property_schema in generated.pop("properties").items():
        if name != "task":
            properties[name] = {key: value for key, value in property_schema.items() if key != "title"}
    return {
        **generated,
        "$schema": DRAFT,
        "title": f"Preset of task {task_name}",
        "description": f"Hyper-parameters of tui-train's task {task_name}.",
        "properties": properties,
        "additionalProperties": False,
    }
