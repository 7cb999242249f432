"""The recurrent student: a bidirectional LSTM over the tokens (Tang et al. 2019, 1903.12136)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from services.models.student import Student, StudentConfig


class RecurrentStudent(Student):
    """Reads each text forwards and backwards; rows are packed, so that padding is never read."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config, features=2 * (config.width // 2))
        self.both_ways = nn.LSTM(
            config.embedding, config.width // 2, batch_first=True, bidirectional=True
        )

    def read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """States of both directions, side by side."""
        # Counted as integers: a sum in bf16 is inexact beyond 256 tokens.
        lengths = mask.squeeze(-1).bool().sum(dim=1).cpu()
        packed = pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False)
        states, _ = self.both_ways(packed)
        found, _ = pad_packed_sequence(states, batch_first=True, total_length=hidden.shape[1])
        return found
