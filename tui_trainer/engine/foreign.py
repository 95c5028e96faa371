"""An optimizer that trains another model than the one that is trained: nothing would ever be learned."""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from tui_trainer.errors import TrainerError


def refuse_foreign(optimizer: Optimizer, model: nn.Module) -> None:
    """See that an optimizer has parameters of the model.

    Raises:
        TrainerError: it has none. Some others beside them may be meant, such as those of a loss.
    """
    own = {id(parameter) for parameter in model.parameters()}
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not any(id(parameter) in own for parameter in trained):
        raise TrainerError(
            "optimizer of another model",
            f"none of the optimizer's {len(trained):,} tensors is a parameter of the model that is trained",
            "build it from the model that optimizer(hparams, model) gets: model.parameters()",
        )
