"""How a student compares the two texts of a pair: every token looks across at the other text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# A student begins by looking at the most similar tokens across; training moves it.
SHARPNESS = 10.0
FORBIDDEN = -1e4


class Comparison(nn.Module):
    """Attend and compare, after decomposable attention (Parikh et al. 2016, arXiv 1606.01933).

    A token finds what stands across from it by the likeness of embeddings; what it takes on is
    learned from itself, their distance and their product.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.merge = nn.Linear(3 * width, width)

    def forward(self, hidden: Tensor, attention_mask: Tensor, segments: Tensor) -> Tensor:
        """Embeddings (B, T, E) of pairs, each with the outcome of its comparison added."""
        other = segments.unsqueeze(2) != segments.unsqueeze(1)
        across = other & attention_mask.bool().unsqueeze(1)
        directions = functional.normalize(hidden, dim=-1)
        likeness = self.sharpness * (directions @ directions.transpose(1, 2))
        weights = torch.softmax(likeness.masked_fill(~across, FORBIDDEN), dim=-1)
        # A text with nothing across from it sees nothing, whatever the padding.
        opposite = (weights * across).to(hidden.dtype) @ hidden
        features = [hidden, (hidden - opposite).abs(), hidden * opposite]
        compared: Tensor = hidden + functional.gelu(self.merge(torch.cat(features, dim=-1)))
        return compared


def segments_of(input_ids: Tensor, separator: int) -> Tensor:
    """0 up to and with the first separator, 1 behind it (B, T), for tokenizers that do not say."""
    ends = (input_ids == separator).long()
    return ((ends.cumsum(dim=1) - ends) > 0).long()
