"""Where texts are cut: a limit on their tokens, asked for or chosen from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from offramp.errors import OfframpError
from services.models.families import BERT, FAMILIES
from training.batches import encode
from training.data import Text

# A longer limit costs nothing for the texts that do not reach it, since batches are of similar
# length; the tail that does is cheap while it is thin, and never let through beyond CHOSEN_MOST.
CHOSEN_QUANTILE = 0.99
CHOSEN_STEP = 16
CHOSEN_MOST = 256
# Of many texts only so many are looked at, evenly over the file.
SAMPLE = 10_000


class TooLongError(OfframpError):
    """A limit that a model cannot take."""


@dataclass(frozen=True, slots=True)
class Cut:
    """max_tokens: where texts are cut; most: where they could be, as far as the models go.

    lengths: tokens of the texts looked at, before the cut.
    """

    max_tokens: int
    most: int
    lengths: NDArray[np.int64]

    @property
    def share(self) -> float:
        """Share of the texts that is cut."""
        return float((self.lengths > self.max_tokens).mean())

    def __str__(self) -> str:
        """What is cut, and how to have less of it cut."""
        said = f"texts are cut at {self.max_tokens} tokens: {self.share:.1%} of the held-out ones"
        whole = min(_rounded(self.lengths), self.most)
        if whole <= self.max_tokens:
            return said
        fewer = (self.lengths > whole).mean()
        return f"{said} (with --max-tokens {whole}, {fewer:.1%}, at a higher cost)"


def settle(texts: Sequence[Text], tokenizer: PreTrainedTokenizerBase, asked: int, most: int) -> Cut:
    """The limit asked for, or where that is 0, one that leaves 99 of 100 texts whole.

    Chosen limits are multiples of 16, at most 256. most: what the models can take.
    Raises TooLongError where more is asked for.
    """
    if asked > most:
        raise TooLongError(
            f"--max-tokens {asked}: the models take at most {most} tokens; "
            "ask for fewer, or choose another --backbone"
        )
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    lengths = encode(tokenizer, sample, max_tokens=None).lengths
    return Cut(asked or min(_rounded(lengths), CHOSEN_MOST, most), most, lengths)


def most_tokens(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input of a model, in tokens."""
    positions = int(getattr(config, "max_position_embeddings", CHOSEN_MOST))
    if FAMILIES.get(config.model_type, BERT).shifted:
        positions -= int(config.pad_token_id) + 1
    return min(positions, int(tokenizer.model_max_length))


def _rounded(lengths: NDArray[np.int64]) -> int:
    """The next multiple of CHOSEN_STEP behind the quantile."""
    return int(np.ceil(np.quantile(lengths, CHOSEN_QUANTILE) / CHOSEN_STEP)) * CHOSEN_STEP
