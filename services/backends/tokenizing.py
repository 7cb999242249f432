"""Texts to token ids: the tokenizer of a tier, in batches, cut to the tier's length."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from offramp.errors import BundleError
from services.backends.base import Encoded, Text
from services.backends.rows import mask_of, padded
from services.backends.wordpieces import WordPieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class InputForm:
    """What a model takes beside token ids. type_ids: which text of a pair each token is of."""

    pad_token_id: int
    type_ids: bool


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """B tokenised texts, padded on the right to the T tokens of the longest.

    ids, mask (1 for a row's own tokens): (B, T).  type_ids: likewise, where the model takes them.
    lengths: (B,), tokens of each row.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    lengths: NDArray[np.int64]

    @property
    def inputs(self) -> tuple[NDArray[np.int64], ...]:
        """What the model takes, in its order."""
        given = (self.ids, self.mask)
        return given if self.type_ids is None else (*given, self.type_ids)


class TextEncoder:
    """Tokenises batches with the Rust tokenizer itself.

    Hugging Face's wrapper around it costs more per short text than the tokenisation does.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, form: InputForm) -> None:
        self.form = form
        self.max_tokens = max_tokens
        self.vocabulary = tokenizer.get_vocab_size()
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._words = WordPieces.of(tokenizer, max_tokens)
        self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> TextEncoder:
        """The one of a Hugging Face tokenizer. Raises BundleError where that has no fast form."""
        if not tokenizer.is_fast:
            raise BundleError(
                f"the tokenizer {type(tokenizer).__name__} has no fast form; "
                "retrain the bundle with a backbone that has a tokenizer.json"
            )
        type_ids = "token_type_ids" in tokenizer.model_input_names
        form = InputForm(int(tokenizer.pad_token_id or 0), type_ids)
        return cls(tokenizer.backend_tokenizer, max_tokens, form)

    @classmethod
    def read(cls, tokenizer: Path, form: Path, max_tokens: int) -> TextEncoder:
        """The one in a tokenizer.json, with the form that `write_form` wrote."""
        taken = InputForm(**json.loads(form.read_text(encoding="utf-8")))
        return cls(Tokenizer.from_file(str(tokenizer)), max_tokens, taken)

    def write_form(self, path: Path) -> None:
        """Keep what a tokenizer.json does not say."""
        path.write_text(json.dumps(asdict(self.form)) + "\n", encoding="utf-8")

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """One Encoded per text, in order."""
        found = [self._plain(text) if pair is None else None for text, pair in texts]
        asked = [given for given, known in zip(texts, found, strict=True) if known is None]
        others = iter(self._by_tokenizer(asked) if asked else ())
        return [known or next(others) for known in found]

    def _plain(self, text: str) -> Encoded | None:
        """A single text in plain ASCII, where its words are enough."""
        if self._words is None or (known := self._words.encode(text)) is None:
            return None
        ids, truncated = known
        return Encoded(ids, [0] * len(ids) if self.form.type_ids else None, truncated)

    def _by_tokenizer(self, texts: Sequence[Text]) -> list[Encoded]:
        inputs = [text if pair is None else (text, pair) for text, pair in texts]
        return [
            Encoded(
                encoding.ids,
                encoding.type_ids if self.form.type_ids else None,
                bool(encoding.overflowing),
            )
            for encoding in self._tokenizer.encode_batch_fast(inputs)
        ]

    def batch(self, rows: Sequence[Encoded]) -> TokenBatch:
        """The rows side by side."""
        lengths = np.array([row.tokens for row in rows], dtype=np.int64)
        types = padded([row.type_ids or () for row in rows], 0) if self.form.type_ids else None
        return TokenBatch(
            ids=padded([row.token_ids for row in rows], self.form.pad_token_id),
            mask=mask_of(lengths),
            type_ids=types,
            lengths=lengths,
        )
