"""The static student: embeddings pooled as they are, in any order (Iyyer et al. 2015, DAN).

Bigrams by hashing give back a little of the word order (fastText, Joulin et al. 2016,
arXiv 1607.01759). Next to no compute: one hidden layer per text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from services.models.student import Student, StudentConfig

# A prime, so that neighbouring ids spread over the table.
SPREAD = 1_000_003


class StaticStudent(Student):
    """Attention-weighted and max pooled embeddings, one hidden layer."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config, features=config.embedding)
        self.bigrams = None
        if config.bigrams:
            self.bigrams = nn.Embedding(config.bigrams, config.embedding)
            nn.init.zeros_(self.bigrams.weight)

    def look_up(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings of tokens, each with that of the bigram it begins."""
        hidden = super().look_up(input_ids, attention_mask)
        if self.bigrams is None:
            return hidden
        buckets = bigrams(input_ids, attention_mask, self.config.bigrams)
        found: Tensor = hidden + self.bigrams(buckets)
        return found

    def read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Embeddings stay as they are."""
        return hidden


def bigrams(input_ids: Tensor, attention_mask: Tensor, buckets: int) -> Tensor:
    """The bucket (B, T) of each token and the next; the last token is followed by token 0."""
    last = input_ids.new_zeros(len(input_ids), 1)
    following = torch.cat([(input_ids * attention_mask)[:, 1:], last], dim=1)
    return (input_ids * SPREAD + following) % buckets
