"""The GPT looks at the past only, starts undecided, and writes without touching global random streams."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from tui_trainer.models.gpt import GPT, generate


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine make tiny models a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(**options: object) -> GPT:
    torch.manual_seed(0)
    sizes = {"vocab_size": 11, "context": 8, "d_model": 12, "n_layers": 2, "n_heads": 3, **options}
    return GPT(**sizes).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("tie_weights", [True, False])
def test_the_future_does_not_change_the_past(tie_weights: bool) -> None:
    model = small(tie_weights=tie_weights)
    tokens = torch.randint(0, 11, (4, 8))
    before = model(tokens)
    for position in range(1, 8):
        changed = tokens.clone()
        changed[:, position:] = (changed[:, position:] + 1 + position) % 11
        after = model(changed)
        torch.testing.assert_close(after[:, :position], before[:, :position], rtol=0, atol=1e-6)
        assert (after[:, position] - before[:, position]).abs().max() > 1e-3


def test_the_past_is_seen_to_its_beginning() -> None:
    model = small()
    tokens = torch.randint(0, 11, (1, 8))
    changed = tokens.clone()
    changed[0, 0] = (tokens[0, 0] + 1) % 11
    assert (model(tokens)[0, -1] - model(changed)[0, -1]).abs().max() > 1e-5


def test_a_shorter_sequence_gives_the_same_logits_and_a_longer_one_is_refused() -> None:
    model = small()
    tokens = torch.randint(0, 11, (2, 8), dtype=torch.uint8)
    torch.testing.assert_close(model(tokens[:, :5]), model(tokens)[:, :5])
    with pytest.raises(ValueError, match="9 tokens is longer than the context of 8"):
        model(torch.zeros(1, 9, dtype=torch.int64))


def test_attention_equals_one_written_out() -> None:
    block = small().blocks[0]
    x = torch.randn(2, 5, 12)
    query, key, value = F.linear(block.attention_norm(x), block.queries_keys_values.weight).split(12, -1)
    mixed = torch.empty_like(x)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4)
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
        mixed[..., part] = scores.softmax(-1) @ value[..., part]
    x2 = x + mixed @ block.attention_out.weight.T
    x2 = x2 + F.gelu(block.mlp_norm(x2) @ block.mlp_in.weight.T) @ block.mlp_out.weight.T
    torch.testing.assert_close(block(x), x2, rtol=1e-5, atol=1e-6)


def test_tied_weights_are_one_parameter() -> None:
    tied, loose = small(), small(tie_weights=False)
    assert "head.weight" not in tied.state_dict()
    extra = sum(p.numel() for p in loose.parameters()) - sum(p.numel() for p in tied.parameters())
    assert extra == 11 * 12
    tied(torch.zeros(1, 3, dtype=torch.int64)).sum().backward()
    assert all(p.grad is not None for p in tied.parameters())


def test_an_untrained_model_is_undecided() -> None:
    model = small(vocab_size=64, d_model=48, n_layers=4)
    tokens = torch.randint(0, 64, (16, 8))
    loss = F.cross_entropy(model(tokens).flatten(0, 1), torch.randint(0, 64, (128,)))
    assert float(loss.detach()) == pytest.approx(math.log(64), abs=0.1)


def test_writing_leaves_the_global_random_stream_and_the_mode_alone() -> None:
    model = small(dropout=0.5).train()
    start = torch.zeros(2, 1, dtype=torch.uint8)
    before = torch.get_rng_state()
    first = generate(model, start, 20, 8, torch.Generator().manual_seed(1))
    again = generate(model, start, 20, 8, torch.Generator().manual_seed(1))
    other = generate(model, start, 20, 8, torch.Generator().manual_seed(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert first.shape == (2, 21)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_cold_temperature_takes_the_likeliest() -> None:
    model = small()
    tokens = generate(model, torch.zeros(1, 1, dtype=torch.int64), 12, 8, torch.Generator(), temperature=1e-4)
    for position in range(1, 13):
        expected = model(tokens[:, max(0, position - 8) : position])[0, -1].argmax()
        assert tokens[0, position] == expected
