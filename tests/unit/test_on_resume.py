"""What a change of each hparam means for a run that goes on."""

from __future__ import annotations

import pytest

from tui_trainer import Field, Hparams
from tui_trainer.config.changes import changes
from tui_trainer.tasks.registry import BUILT_IN, load_task

MEANT = {
    "safe": """
        checkpoint_every device early_stopping_patience epochs eval_batch_size eval_every keep_checkpoints
        log_rate max_length max_minutes max_rollbacks max_steps micro_batch num_workers on_nonfinite
        rollback_lr_factor sample_chars temperature
    """,
    "warned": """
        betas compile crop deterministic dropout eps flip grad_clip_norm label_smoothing loss lr lr_decay
        lr_decay_every lr_patience momentum monitor monitor_mode precision rotate warmup weight_decay
    """,
    "refused": """
        batch_size categorical channels context d_model d_model_dec d_model_enc dataset_json_fname
        dataset_path ema_decay embedding_dim grad_accumulation ignore image_size input_column kind
        label_column latent_dim max_chars n_heads n_layers network numeric optimizer overfit_batches scheduler
        seed table target target_column task test_size text_column tie_weights val_size
    """,
}
CLASSES = {name: kind for kind, names in MEANT.items() for name in names.split()}


@pytest.mark.parametrize("task", sorted(BUILT_IN))
def test_every_hparam_of_a_built_in_task_says_what_its_change_means(task: str) -> None:
    hparams_class = load_task(task).hparams_class
    unsaid = [
        name
        for name, info in hparams_class.model_fields.items()
        if not (isinstance(info.json_schema_extra, dict) and "x-on_resume" in info.json_schema_extra)
    ]
    assert unsaid == []
    found = {name: spec.on_resume for name, spec in hparams_class.specs().items()}
    assert found == {name: CLASSES.get(name) for name in found}


def test_the_table_names_no_hparam_that_does_not_exist() -> None:
    known = {name for task in BUILT_IN for name in load_task(task).hparams_class.specs()}
    assert known == CLASSES.keys()


class OwnHparams(Hparams):
    """Of a task of one's own."""

    epochs: int = 3
    lr: float = Field(0.1, gt=0, description="Declared anew.")
    seed: int = Field(1, ge=0, on_resume="warned", description="Declared anew, with a meaning of its own.")
    width: int = Field(8, gt=0, description="Units of each layer.")
    noise: float = Field(0.0, ge=0, on_resume="warned", description="Strength of augmentation.")
    plain: int = 1


def test_ones_own_hparams_are_refused_unless_they_say_otherwise() -> None:
    specs = OwnHparams.specs()
    assert (specs["width"].on_resume, specs["plain"].on_resume, specs["noise"].on_resume) == (
        "refused",
        "refused",
        "warned",
    )


def test_a_field_that_is_declared_anew_keeps_its_meaning_unless_it_says_another() -> None:
    specs = OwnHparams.specs()
    assert (specs["epochs"].on_resume, specs["lr"].on_resume, specs["seed"].on_resume) == (
        "safe",
        "warned",
        "warned",
    )
    assert Hparams.specs()["seed"].on_resume == "refused"


def test_a_diff_names_what_differs_and_nothing_that_was_not_there_before() -> None:
    before = OwnHparams(betas=(0.9, 0.99)).model_dump(mode="json")
    del before["noise"]
    now = OwnHparams(betas=(0.9, 0.99), lr=0.2, width=9, epochs=4, noise=1.0, weight_decay=0.1)
    found = changes({**before, "gone": 1}, now)
    assert [(str(change), change.kind) for change in found] == [
        ("lr: 0.1 -> 0.2", "warned"),
        ("weight_decay: none -> 0.1", "warned"),
        ("epochs: 3 -> 4", "safe"),
        ("width: 8 -> 9", "refused"),
    ]
    assert changes(now.model_dump(mode="json"), now) == []
