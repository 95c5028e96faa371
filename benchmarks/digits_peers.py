"""Time one training step of the seed's digits network: ours, a lean loop, the seed's template, and peers.

    python benchmarks/digits_peers.py [--rounds 5] [--epochs 20] [--only ours,lean,…]

Every measurement is a fresh process on one thread; contenders take turns, so that a noisy machine hits all
alike. Each trains the same MLP 64-128-128-128-10 with Adam on batches of 32, evaluates after every epoch, and
reports the wall time of its training loop (evaluation, metrics and its usual record included) per training
step. Peers need the `bench` extra: pip install '.[bench]'.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

BATCH = 32


def data():
    """Train and test tensors: the split that our digits task makes with seed 0."""
    import torch

    from tui_trainer.tasks.registry import load_task

    task = load_task("digits")
    train, test = task.datasets(task.hparams_class())
    return (train[0].float(), train[1].long()), (test[0].float(), test[1].long()), torch


SEED_HPARAMS = {"latent_dim": 128, "n_layers": 3, "dropout": 0.0, "lr": 1e-3, "batch_size": BATCH}


def network(torch):
    """The seed's network, the very module that our digits task trains."""
    from tui_trainer.tasks.registry import load_task

    task = load_task("digits")
    hparams = task.hparams_class(**SEED_HPARAMS)
    task.datasets(hparams)
    torch.manual_seed(0)
    return task.model(hparams)


def ours(epochs: int) -> tuple[float, int]:
    """tui-trainer with its metrics, record and checkpoints, through the public API."""
    from tui_trainer import train
    from tui_trainer.tasks.registry import load_task

    with tempfile.TemporaryDirectory() as folder:
        result = train(
            load_task("digits"), {**SEED_HPARAMS, "epochs": epochs, "checkpoint_every": 0}, runs_dir=folder
        )
        events = [json.loads(line) for line in (result.run_dir / "events.jsonl").read_text().splitlines()]
    began = next(event["time"] for event in events if event["event"] == "epoch_start")
    ended = [event["time"] for event in events if event["event"] == "epoch_end"][-1]
    return ended - began, result.steps


def lean(epochs: int) -> tuple[float, int]:
    """A hand-written loop: batches gathered in memory, fused Adam, sums kept as tensors."""
    (x, y), (xt, yt), torch = data()
    model, steps = network(torch), 0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    criterion = torch.nn.CrossEntropyLoss()
    begin = time.perf_counter()
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(x))
        loss_sum, correct = torch.zeros(()), torch.zeros(())
        for first in range(0, len(x), BATCH):
            rows = order[first : first + BATCH]
            inputs, targets = x[rows], y[rows]
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(rows)
            correct += (outputs.detach().argmax(1) == targets).sum()
            steps += 1
        model.eval()
        with torch.no_grad():
            test_loss, test_correct = torch.zeros(()), torch.zeros(())
            for first in range(0, len(xt), BATCH):
                inputs, targets = xt[first : first + BATCH], yt[first : first + BATCH]
                outputs = model(inputs)
                test_loss += criterion(outputs, targets) * len(inputs)
                test_correct += (outputs.argmax(1) == targets).sum()
        _ = (
            loss_sum.item() / len(x),
            correct.item() / len(x),
            test_loss.item() / len(xt),
            test_correct.item() / len(xt),
        )
    return time.perf_counter() - begin, steps


def template(epochs: int) -> tuple[float, int]:
    """The seed's template: DataLoader, `.item()` at every step, lists of batch metrics."""
    train, test, torch = data()
    from torch.utils.data import DataLoader, TensorDataset

    train_loader = DataLoader(TensorDataset(*train), batch_size=BATCH, shuffle=True)
    test_loader = DataLoader(TensorDataset(*test), batch_size=BATCH, shuffle=True)
    model, steps = network(torch), 0
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    begin = time.perf_counter()
    for _ in range(epochs):
        model.train()
        losses, accuracies = [], []
        for inputs, targets in train_loader:
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            accuracies.append((outputs.argmax(1) == targets).float().mean().item())
            steps += 1
        model.eval()
        with torch.no_grad():
            for inputs, targets in test_loader:
                outputs = model(inputs)
                losses.append(criterion(outputs, targets).item())
                accuracies.append((outputs.argmax(1) == targets).float().mean().item())
    return time.perf_counter() - begin, steps


def ignite(epochs: int) -> tuple[float, int]:
    """pytorch-ignite: supervised trainer and evaluator with Accuracy and Loss."""
    train, test, torch = data()
    from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(*train), batch_size=BATCH, shuffle=True)
    test_loader = DataLoader(TensorDataset(*test), batch_size=BATCH)
    model = network(torch)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    trainer = create_supervised_trainer(
        model, optimizer, criterion, output_transform=lambda x, y, out, loss: (out, y)
    )
    for name, metric in {"accuracy": Accuracy(), "loss": Loss(criterion)}.items():
        metric.attach(trainer, name)
    evaluator = create_supervised_evaluator(model, metrics={"accuracy": Accuracy(), "loss": Loss(criterion)})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(test_loader))
    begin = time.perf_counter()
    trainer.run(loader, max_epochs=epochs)
    return time.perf_counter() - begin, epochs * len(loader)


def hf_trainer(epochs: int) -> tuple[float, int]:
    """Hugging Face's Trainer, evaluating each epoch, no reports and no checkpoints."""
    train, test, torch = data()
    from transformers import Trainer, TrainingArguments

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(torch)

        def forward(self, x, labels=None):
            logits = self.net(x)
            loss = torch.nn.functional.cross_entropy(logits, labels) if labels is not None else None
            return {"loss": loss, "logits": logits}

    def rows(part):
        return [{"x": x, "labels": y} for x, y in zip(*part, strict=True)]

    def metrics(prediction):
        return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=BATCH,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="epoch",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(
            Model(), arguments, train_dataset=rows(train), eval_dataset=rows(test), compute_metrics=metrics
        )
        sys.stdout = open(os.devnull, "w")
        begin = time.perf_counter()
        trainer.train()
        spent = time.perf_counter() - begin
        sys.stdout = sys.__stdout__
    return spent, trainer.state.global_step


def lightning(epochs: int) -> tuple[float, int]:
    """Lightning with logged loss and accuracy, no bar, no logger, no checkpoints."""
    train, test, torch = data()
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    import lightning as pl
    from torch.utils.data import DataLoader, TensorDataset

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = network(torch)
            self.criterion = torch.nn.CrossEntropyLoss()

        def _both(self, batch, split):
            x, y = batch
            outputs = self.net(x)
            loss = self.criterion(outputs, y)
            self.log(f"{split}/loss", loss, on_step=False, on_epoch=True)
            self.log(
                f"{split}/accuracy", (outputs.argmax(1) == y).float().mean(), on_step=False, on_epoch=True
            )
            return loss

        def training_step(self, batch, _):
            return self._both(batch, "train")

        def validation_step(self, batch, _):
            self._both(batch, "test")

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    loader = DataLoader(TensorDataset(*train), batch_size=BATCH, shuffle=True)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = Module()
    begin = time.perf_counter()
    trainer.fit(module, loader, DataLoader(TensorDataset(*test), batch_size=BATCH))
    return time.perf_counter() - begin, trainer.global_step


CONTENDERS: dict[str, Callable[[int], tuple[float, int]]] = {
    contender.__name__: contender for contender in (lean, ours, template, ignite, hf_trainer, lightning)
}


def measure(name: str, epochs: int) -> float | None:
    """Microseconds a step of one contender in a fresh process; None if it is not installed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--contender", name, "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        if "ModuleNotFoundError" in done.stderr:
            return None
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", default=",".join(CONTENDERS))
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        import torch

        torch.set_num_threads(1)
        seconds, steps = CONTENDERS[options.contender](options.epochs)
        print(1e6 * seconds / steps)
        return
    names = options.only.split(",")
    times: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(options.rounds):
        # The order turns, so that no contender always follows the same one.
        for name in names[round_number % len(names) :] + names[: round_number % len(names)]:
            figure = measure(name, options.epochs)
            if figure is not None:
                times[name].append(figure)
    base = statistics.median(times["lean"]) if times.get("lean") else None
    print("| contender | µs a step, median | min | max | × lean, median of rounds |")
    print("|---|---|---|---|---|")
    for name, figures in times.items():
        if not figures:
            print(f"| {name} | not installed | | | |")
            continue
        ratio = ""
        if base:
            ratio = f"{statistics.median(a / b for a, b in zip(figures, times['lean'], strict=True)):.2f}"
        print(
            f"| {name} | {statistics.median(figures):.0f} | {min(figures):.0f} | {max(figures):.0f} "
            f"| {ratio} |"
        )


if __name__ == "__main__":
    main()
