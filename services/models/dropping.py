"""Less length: between two stages a row goes on with the tokens that were attended to most.

After PoWER-BERT (arXiv 2001.08950): a token's significance is the attention that it receives,
summed over the heads and the tokens that attend. The share of tokens that is kept per stage, as in
Dynamic-TinyBERT (2111.09645) and QuaLA-MiniLM (2210.17114), is of each row's own tokens, so that
what a row keeps depends neither on its batch mates nor on padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from services.models.staged import RowStates

# The first token, which stands for the text, and one more.
LEAST = 2
# A share that is not exact in binary must not round a whole number of tokens up.
SLACK = 1e-9


def tokens_kept(tokens: Tensor, share: float) -> Tensor:
    """How many of so many tokens go on (any shape): the share rounded up, but at least LEAST."""
    wanted = torch.ceil(tokens.double() * share - SLACK).clamp(min=LEAST)
    return torch.minimum(wanted.to(tokens.dtype), tokens)


@contextmanager
def projected(layer: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """While the block runs `layer`, keeps what its submodules of these names gave out last.

    Fused attention gives no weights back, and projecting a second time would cost a sixth of it.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _, __, output: found.update({name: output})

    hooks = [layer.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def attention_received(queries: Tensor, keys: Tensor, attention_mask: Tensor, heads: int) -> Tensor:
    """Attention that each token receives (B, T), from queries and keys (B, T, H).

    Summed over heads and over the tokens that attend; padding neither gives nor receives any.
    One head at a time: all weights at once would be heads * T * T numbers per row.
    """
    width = queries.shape[-1] // heads
    attends = attention_mask.unsqueeze(-1)
    received = torch.zeros(attention_mask.shape, device=queries.device)
    for query, key in zip(queries.split(width, dim=-1), keys.split(width, dim=-1), strict=True):
        scores = (query @ key.transpose(1, 2)).float() / math.sqrt(width)
        weights = scores.masked_fill(attends.transpose(1, 2) == 0, -math.inf).softmax(dim=-1)
        received += (weights * attends).sum(dim=1)
    return received


def keep_most_attended(rows: RowStates, received: Tensor, share: float) -> RowStates:
    """The rows with their most attended tokens, in order; the first token always stays.

    received: (B, T). Among tokens that receive the same the earlier one stays.
    """
    padded = rows.hidden.shape[1]
    width = int(tokens_kept(torch.tensor(padded), share))
    kept = tokens_kept(rows.attention_mask.sum(dim=1), share)
    significance = received.masked_fill(rows.attention_mask == 0, -1.0)
    significance[:, 0] = math.inf
    ranked = significance.argsort(dim=1, descending=True, stable=True)[:, :width]
    missing = torch.arange(width, device=kept.device) >= kept.unsqueeze(1)
    # In order of place; what a row does not fill lies behind them, masked.
    places = ranked.masked_fill(missing, padded).sort(dim=1).values.clamp(max=padded - 1)
    hidden = rows.hidden.gather(1, places.unsqueeze(-1).expand(-1, -1, rows.hidden.shape[2]))
    return RowStates(hidden, (~missing).to(rows.attention_mask.dtype), rows.pooled)
