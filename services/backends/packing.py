"""How the tokens of several rows stand end to end, and where they stand as padded rows.

Packed tokens are (1, N, F), the tokens of one row behind those of another; padded rows are
(B, T, F). Stages that run on both (`packed_stages.py`) are told by inputs of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.backends import shapes

# Inputs of a packed stage. PLACES (N,): where each packed token stands in the padded rows, counted
# through.  ORDER (B, T): which packed token stands at each place; the row's last, where that is
# padding.  NEIGHBOURS (N, 2R + 1): which packed tokens stand up to R before and behind each one in
# its row; N, where the row has none.
PLACES, ORDER, NEIGHBOURS = "places", "order", "neighbours"


@dataclass(frozen=True, slots=True)
class Packing:
    """How the tokens of some rows stand in both forms: the inputs PLACES and ORDER.

    lengths: of the rows.  tokens: of all of them together; behind those there may be others, that
        nobody reads.
    """

    lengths: NDArray[np.int64]
    tokens: int
    places: NDArray[np.int32]
    order: NDArray[np.int32]

    @classmethod
    def of(cls, lengths: NDArray[np.int64], shape: tuple[int, int]) -> Packing:
        """That of rows of such lengths (at most B) in padded ones of a shape (B, T)."""
        tokens = int(lengths.sum())
        first = np.cumsum(lengths) - lengths
        along = np.arange(shape[1])
        places = np.zeros(shapes.packed(tokens), dtype=np.int32)
        places[:tokens] = np.flatnonzero(along < lengths[:, None])
        order = np.zeros(shape, dtype=np.int32)
        order[: len(lengths)] = first[:, None] + np.minimum(along, lengths[:, None] - 1)
        return cls(lengths, tokens, places, order)

    def neighbours(self, reach: int) -> NDArray[np.int32]:
        """The input NEIGHBOURS, for tokens up to `reach` away."""
        count = len(self.places)
        behind = np.zeros(count, dtype=np.int32)
        behind[: self.tokens] = np.repeat(np.cumsum(self.lengths), self.lengths)
        before = np.zeros(count, dtype=np.int32)
        before[: self.tokens] = behind[: self.tokens] - np.repeat(self.lengths, self.lengths)
        found = np.arange(count, dtype=np.int32)[:, None] + np.arange(-reach, reach + 1)
        inside = (found >= before[:, None]) & (found < behind[:, None])
        return np.where(inside, found, count).astype(np.int32)
