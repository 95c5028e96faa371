"""A decoder-only transformer over tokens, as GPT-2 (Radford et al., 2019), with pre-norm blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Causal self-attention, then a two-layer perceptron, each on a normalised copy and added back.

    Normalising before, not after (Xiong et al., 2020), trains without a long warm-up.

    Args:
        d_model: features of a position.
        n_heads: attention heads; divides `d_model`.
        dropout: fraction of attention weights and of each branch's outputs that is dropped.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(d_model)
        self.queries_keys_values = nn.Linear(d_model, 3 * d_model, bias=False)
        self.attention_out = nn.Linear(d_model, d_model, bias=False)
        self.mlp_norm = nn.LayerNorm(d_model)
        self.mlp_in = nn.Linear(d_model, 4 * d_model, bias=False)
        self.mlp_out = nn.Linear(4 * d_model, d_model, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, time, d_model) to the same shape; a position sees itself and what is before it."""
        batch, time, d_model = x.shape
        joint = self.queries_keys_values(self.attention_norm(x)).view(batch, time, 3, self.n_heads, -1)
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        x = x + self.drop(self.attention_out(mixed.transpose(1, 2).reshape(batch, time, d_model)))
        widened = F.gelu(self.mlp_in(self.mlp_norm(x)))
        out: Tensor = x + self.drop(self.mlp_out(widened))
        return out


class GPT(nn.Module):
    """Predicts each next token from the tokens before it.

    Args:
        vocab_size: number of different tokens.
        context: longest sequence, in tokens; positions are learned.
        d_model: features of a position.
        n_layers: blocks.
        n_heads: attention heads of a block; divides `d_model`.
        dropout: fraction that is dropped after embedding and in each block.
        tie_weights: the token embedding also serves as the output layer (Press and Wolf, 2017).
    """

    def __init__(
        self,
        vocab_size: int,
        context: int,
        d_model: int,
        n_layers: int,
        n_heads: int,
        dropout: float = 0.0,
        tie_weights: bool = True,
    ) -> None:
        super().__init__()
        self.context = context
        self.tokens = nn.Embedding(vocab_size, d_model)
        self.positions = nn.Embedding(context, d_model)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(d_model, n_heads, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)
        # A tied layer is no parameter of its own: safetensors, for one, refuses two names for one tensor.
        self.head = None if tie_weights else nn.Linear(d_model, vocab_size, bias=False)
        self._initialise(n_layers)

    def _initialise(self, n_layers: int) -> None:
        """GPT-2's initial weights: branches that are added back start smaller, the more of them there are."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                added_back = name.endswith(("attention_out.weight", "mlp_out.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layers) if added_back else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at each position.

        Args:
            tokens: (batch, time) whole numbers of any type, time ≤ context.

        Returns:
            (batch, time, vocab_size).

        Raises:
            ValueError: the sequence is longer than the context.
        """
        time = tokens.shape[1]
        if time > self.context:
            raise ValueError(f"a sequence of {time} tokens is longer than the context of {self.context}")
        # The first `time` rows are the positions' vectors: no index tensor to make on the device.
        x = self.drop(self.tokens(tokens.int()) + self.positions.weight[:time])
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return F.linear(x, self.tokens.weight) if self.head is None else self.head(x)


@torch.no_grad()
def generate(
    model: nn.Module,
    tokens: Tensor,
    length: int,
    context: int,
    generator: torch.Generator,
    temperature: float = 0.8,
) -> Tensor:
    """Continue sequences by drawing token after token.

    A function, not a method, since it is also given models that are wrapped (compiled, averaged). Runs in
    evaluation mode and puts the mode back. All draws come from `generator`, so the global random streams are
    left alone.

    Args:
        model: maps (batch, time) tokens to (batch, time, vocab_size) logits.
        tokens: (batch, time ≥ 1), on the model's device.
        length: how many tokens to append.
        context: how many of the last tokens the model can see.
        generator: source of randomness, on the CPU, so that every device draws alike.
        temperature: logits are divided by it; smaller is less surprising.

    Returns:
        (batch, time + length) int64.
    """
    was_training = model.training
    model.eval()
    try:
        tokens = tokens.long()
        for _ in range(length):
            logits = model(tokens[:, -context:])[:, -1].float().cpu() / temperature
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
            tokens = torch.cat([tokens, drawn.to(tokens.device)], 1)
    finally:
        model.train(was_training)
    return tokens
