"""Texts to token ids: a Hugging Face fast tokenizer, in batches, cut to a tier's length."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from offramp.errors import BundleError
from services.backends.base import Encoded, Text


class TextEncoder:
    """Tokenises batches; raises BundleError where the tokenizer has no fast form."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        if not tokenizer.is_fast:
            raise BundleError(
                f"the tokenizer {type(tokenizer).__name__} has no fast form; "
                "retrain the bundle with a backbone that has a tokenizer.json"
            )
        self.wants_type_ids = "token_type_ids" in tokenizer.model_input_names
        self.pad_token_id = int(tokenizer.pad_token_id or 0)
        self.vocabulary = len(tokenizer)
        # The Rust tokenizer itself: the wrapper around it costs more per short text than the
        # tokenisation does.
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """One Encoded per text, in order."""
        inputs = [text if pair is None else (text, pair) for text, pair in texts]
        return [
            Encoded(
                encoding.ids,
                encoding.type_ids if self.wants_type_ids else None,
                bool(encoding.overflowing),
            )
            for encoding in self._tokenizer.encode_batch_fast(inputs)
        ]
