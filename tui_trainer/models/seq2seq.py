"""A recurrent encoder-decoder with attention that never looks at padding and never waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAD, BOS, EOS, UNK = 0, 1, 2, 3
"""Tokens with a meaning of their own: filling, begin and end of a sequence, a character without a symbol."""

SPECIALS = 4
"""How many of them there are; characters are numbered from here on."""

Memory = tuple[Tensor, Tensor, Tensor]
"""What the decoder attends to: keys and values (batch, time, d_model_dec), mask (batch, 1, time)."""


class Encoder(nn.Module):
    """Layers of two GRUs each, one reading forwards and one backwards.

    The backward one reads each row's own tokens in reverse, with the padding still at the end. So padding
    comes after everything else in both directions and can't reach it. Packing would do the same, but it needs
    the lengths on the host.

    Args:
        vocab_size: number of input tokens.
        d_model: units of each direction; also the width of the embedding.
        n_layers: layers, each of which reads both directions of the one below.
        dropout: fraction of the inputs of each layer that is dropped.
    """

    def __init__(self, vocab_size: int, d_model: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx=PAD)
        widths = [d_model] + [2 * d_model] * (n_layers - 1)
        self.forwards = nn.ModuleList(nn.GRU(width, d_model, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(nn.GRU(width, d_model, batch_first=True) for width in widths)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read the inputs.

        Args:
            tokens: (batch, time) with at least one token before the padding in each row.

        Returns:
            Features (batch, time, 2·d_model), undefined where there is padding; a row's last features in both
            directions (batch, 2·d_model); the mask of what is no padding (batch, time).
        """
        mask = tokens != PAD
        lengths = mask.sum(1, keepdim=True)
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        # Row by row: 0 … n−1 reversed, the padding left where it is. Reversing twice gives the order back.
        reverse = torch.where(steps < lengths, lengths - 1 - steps, steps.expand_as(tokens)).unsqueeze(-1)
        last = (lengths - 1).unsqueeze(-1)
        x, end = self.embedding(tokens.int()), None
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            x = self.drop(x)
            ahead, _ = forwards(x)
            back, _ = backwards(x.gather(1, reverse.expand_as(x)))
            joint = torch.cat([ahead, back], -1)
            end = joint.gather(1, last.expand(-1, 1, joint.shape[2])).squeeze(1)
            x = torch.cat([ahead, back.gather(1, reverse.expand_as(back))], -1)
        assert end is not None
        return x, end, mask


class Seq2Seq(nn.Module):
    """Encoder, GRU decoder and attention between them (Luong et al., 2015, with the scaled dot product).

    Attention comes after the recurrence, so that in training the decoder runs over a whole target at once.

    Args:
        input_symbols: number of input tokens, the four special ones included.
        target_symbols: number of target tokens, likewise.
        target_length: tokens that greedy decoding gives, the end of the sequence included.
        d_model_enc: units of each direction of the encoder.
        d_model_dec: units of the decoder.
        n_layers: layers of the encoder and of the decoder.
        dropout: fraction dropped before each layer and before the output.
    """

    def __init__(
        self,
        input_symbols: int,
        target_symbols: int,
        target_length: int,
        d_model_enc: int,
        d_model_dec: int,
        n_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.target_length = target_length
        self.encoder = Encoder(input_symbols, d_model_enc, n_layers, dropout)
        self.bridge = nn.Linear(2 * d_model_enc, n_layers * d_model_dec)
        self.embedding = nn.Embedding(target_symbols, d_model_dec, padding_idx=PAD)
        # nn.GRU drops between layers only, and warns when there is no between.
        between = dropout if n_layers > 1 else 0.0
        self.decoder = nn.GRU(d_model_dec, d_model_dec, n_layers, batch_first=True, dropout=between)
        self.keys = nn.Linear(2 * d_model_enc, d_model_dec, bias=False)
        self.values = nn.Linear(2 * d_model_enc, d_model_dec, bias=False)
        self.mix = nn.Linear(2 * d_model_dec, d_model_dec)
        self.head = nn.Linear(d_model_dec, target_symbols)
        self.drop = nn.Dropout(dropout)
        self.n_layers = n_layers

    def forward(self, inputs: Tensor, targets: Tensor | None = None) -> Tensor:
        """Teacher forcing with targets, greedy decoding without.

        Args:
            inputs: (batch, input time) tokens, each row ended by EOS and filled with PAD.
            targets: (batch, target time) likewise. A position sees the targets before it.

        Returns:
            With targets: logits (batch, target time, target_symbols). Without: tokens (batch, target_length)
            int64, of which those after the first EOS mean nothing.
        """
        memory, state = self.encode(inputs)
        if targets is None:
            return self._greedy(memory, state)
        before = F.pad(targets[:, :-1].int(), (1, 0), value=BOS)
        return self.step(before, memory, state)[0]

    def encode(self, inputs: Tensor) -> tuple[Memory, Tensor]:
        """What the decoder attends to (keys, values, mask); its first state (layers, batch, d_model_dec)."""
        features, end, mask = self.encoder(inputs)
        features = self.drop(features)
        state = (
            torch.tanh(self.bridge(end)).view(end.shape[0], self.n_layers, -1).transpose(0, 1).contiguous()
        )
        return (self.keys(features), self.values(features), mask.unsqueeze(1)), state

    def step(self, before: Tensor, memory: Memory, state: Tensor) -> tuple[Tensor, Tensor]:
        """Decode one or more positions.

        Args:
            before: (batch, time) the token before each position.
            memory, state: of `encode`, or the state that the last call returned.

        Returns:
            Logits (batch, time, target_symbols) and the state after them.
        """
        keys, values, mask = memory
        hidden, state = self.decoder(self.drop(self.embedding(before)), state)
        # One head: what exports models knows attention with heads only.
        query, key, value, visible = (part.unsqueeze(1) for part in (hidden, keys, values, mask))
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=visible).squeeze(1)
        mixed = torch.tanh(self.mix(torch.cat([hidden, seen], -1)))
        return self.head(self.drop(mixed)), state

    def _greedy(self, memory: Memory, state: Tensor) -> Tensor:
        """The likeliest token at each position, given those chosen before.

        No early end when all rows are done: asking would wait for the device.
        """
        token = torch.full((state.shape[1], 1), BOS, dtype=torch.int32, device=state.device)
        chosen = []
        for _ in range(self.target_length):
            logits, state = self.step(token, memory, state)
            token = logits.argmax(-1).int()
            chosen.append(token)
        return torch.cat(chosen, 1).long()
