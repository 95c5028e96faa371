"""What the loop trains with, as one object: its facts, its state, its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_trainer.engine import checkpoint, rng, trainer_state
from tui_trainer.engine.data import Splits
from tui_trainer.engine.device import Device
from tui_trainer.engine.micro import MicroBatches
from tui_trainer.engine.monitor import Monitor
from tui_trainer.engine.nonfinite import NonFinite, is_finite, learned_tensors
from tui_trainer.engine.optim import adopt_options
from tui_trainer.engine.schedule import Schedule
from tui_trainer.engine.update import Forward, Updater


@dataclass
class Prepared:
    """What the loop trains with.

    Attributes:
        measuring: how many samples go through the model at once in evaluation; the updater knows of training.
        steps_per_epoch: optimizer steps of an epoch; None where the data have no length.
        total_steps: optimizer steps of the whole run; None where that is not known.
    """

    device: Device
    splits: Splits
    model: nn.Module
    forward: Forward
    optimizer: Optimizer
    schedule: Schedule
    scaler: torch.amp.GradScaler | None
    updater: Updater
    measuring: MicroBatches
    monitor: Monitor
    steps_per_epoch: int | None
    total_steps: int | None

    @property
    def evaluated_model(self) -> nn.Module:
        """The network that is evaluated and saved: the averaged one with ema_decay."""
        averaged = self.updater.averaged
        return self.model if averaged is None else averaged.module

    def facts(self) -> dict[str, Any]:
        """What `run_start` tells about all this."""
        evaluated = self.splits.evaluated()
        return {
            "device": str(self.device.torch),
            "device_name": self.device.name,
            "device_reason": self.device.reason,
            "world_size": 1,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "trained_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "train_samples": self.splits.train.samples,
            "val_samples": evaluated["val"].samples if "val" in evaluated else 0,
            "test_samples": evaluated["test"].samples if "test" in evaluated else 0,
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
            "monitor": self.monitor.metric,
        }

    def state_dict(self) -> dict[str, Any]:
        """All of it that decides the future, except the weights that are evaluated."""
        averaged = self.updater.averaged
        raw = None
        if averaged is not None:
            raw = {"updates": averaged.n_averaged, "raw": checkpoint.named_state(self.model)}
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
            "averaged": raw,
            "monitor": self.monitor.state_dict(),
            "micro": {"train": self.updater.micro.size, "eval": self.measuring.size},
            "rng": rng.state_dict(self.device.torch),
        }

    def load_state_dict(
        self,
        state: dict[str, Any],
        weights: dict[str, Tensor],
        path: Path,
        state_path: Path,
        before: Mapping[str, Any] | None = None,
        wait_anew: bool = False,
    ) -> None:
        """Go on from a checkpoint.

        Args:
            state: what `state_dict` returned, and the `progress` at which it did.
            weights: the evaluated weights that were saved beside it.
            path: their file, for messages.
            state_path: that of the state.
            before: the hparams that count anew, with the values that the checkpoint was trained with; of all
                others the checkpoint says what holds.
            wait_anew: a run that had stopped early was asked to go on.

        Raises:
            FileError: it does not fit.
        """
        averaged = self.updater.averaged
        if averaged is not None and state["averaged"] is not None:
            checkpoint.load_into(averaged.module, weights, path)
            averaged.n_averaged.copy_(state["averaged"]["updates"])
            weights = state["averaged"]["raw"]
        checkpoint.load_into(self.model, weights, path)
        before = before or {}
        built = [dict(group) for group in self.optimizer.param_groups]
        trainer_state.check_optimizer(self.optimizer, state["optimizer"], state_path)
        self.optimizer.load_state_dict(state["optimizer"])
        adopt_options(self.optimizer, built, before)
        trainer_state.check_schedule(self.schedule.state_dict(), state["schedule"], state_path)
        self.schedule.load_state_dict(state["schedule"], state["progress"]["step"], before)
        if self.scaler is not None and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        if not self.monitor.load_state_dict(state["monitor"], before):
            self.schedule.start_over()
        if wait_anew and self.monitor.exhausted:
            self.monitor.restart_patience()
        if "micro" in state and "micro_batch" not in before:
            self.updater.micro.go_on_with(state["micro"]["train"])
            self.measuring.go_on_with(state["micro"]["eval"])
        # Last, since loading may draw random numbers.
        rng.load_state_dict(state["rng"], self.device.torch)

    def check_weights(self, step: int) -> None:
        """Refuse to go on with poisoned weights: they must not take a good checkpoint's place.

        Args:
            step: optimizer steps done, for the message.

        Raises:
            NonFinite: a weight is NaN or infinite.
        """
        averaged = self.updater.averaged
        models = [self.model] if averaged is None else [self.model, averaged.module]
        for name, tensor in (named for model in models for named in learned_tensors(model)):
            if not is_finite(tensor):
                message = f"after step {step}, {name} holds NaN or infinite values"
                raise NonFinite("weights are not finite", message, step)

    def close(self) -> None:
        """End loader processes and empty the device's cache. Drop the last reference to this, too."""
        self.splits.close()
        if self.device.torch.type == "cuda":
            torch.cuda.empty_cache()
