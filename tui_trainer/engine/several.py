"""Several optimizers as one, for all that looks at parameter groups or at state: schedules, checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

SINGLE = "optimizer"
"""The name of an optimizer that is the only one."""


class SeveralOptimizers(Optimizer):
    """Optimizers by name, with the parameter groups of all of them in order.

    Args:
        members: at least one.
    """

    def __init__(self, members: Mapping[str, Optimizer]) -> None:
        self.members = dict(members)
        # What only some have can't be moved by a schedule that moves all.
        names = set.intersection(*(set(member.defaults) for member in members.values()))
        first = next(iter(members.values())).defaults
        super().__init__(self.param_groups, {name: first[name] for name in first if name in names})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The members' own dicts: what is set in them holds."""
        return [group for member in self.members.values() for group in member.param_groups]

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        """Optimizer's constructor begins with none; the members keep theirs."""

    @property
    def state(self) -> defaultdict[Tensor, Any]:
        """The members' states together."""
        return defaultdict(
            dict, {key: value for member in self.members.values() for key, value in member.state.items()}
        )

    @state.setter
    def state(self, state: defaultdict[Tensor, Any]) -> None:
        """As of `param_groups`."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimizer's constructor adds what the members have."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of each."""
        for member in self.members.values():
            member.step()

    def state_dict(self) -> dict[str, Any]:
        """As one optimizer with all groups would have it: parameters are numbered through."""
        groups: list[dict[str, Any]] = []
        state: dict[Any, Any] = {}
        for first, member in self._numbered():
            own = member.state_dict()
            groups += [
                {**group, "params": [n + first for n in group["params"]]} for group in own["param_groups"]
            ]
            state |= {number + first: value for number, value in own["state"].items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        for member, part in self.parted(state_dict):
            member.load_state_dict(part)

    def parted(self, state_dict: Mapping[str, Any]) -> list[tuple[Optimizer, dict[str, Any]]]:
        """Each member with its own part of a state that has as many groups as all have."""
        groups, parts = list(state_dict["param_groups"]), []
        for first, member in self._numbered():
            own = [
                {**group, "params": [n - first for n in group["params"]]}
                for group in groups[: len(member.param_groups)]
            ]
            del groups[: len(member.param_groups)]
            numbers = range(first, first + _parameters(member))
            state = {n - first: value for n, value in state_dict["state"].items() if n in numbers}
            parts.append((member, {"state": state, "param_groups": own}))
        return parts

    def _numbered(self) -> Iterator[tuple[int, Optimizer]]:
        """Each member with the number of its first parameter."""
        first = 0
        for member in self.members.values():
            yield first, member
            first += _parameters(member)


def _parameters(optimizer: Optimizer) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)


def members_of(optimizer: Optimizer) -> dict[str, Optimizer]:
    """The optimizers by name; a single one is called `optimizer`."""
    return optimizer.members if isinstance(optimizer, SeveralOptimizers) else {SINGLE: optimizer}
