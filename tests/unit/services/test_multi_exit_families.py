"""Every family of encoders, run stage by stage, has the hidden states of Hugging Face."""

from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

from services.backends.base import Encoded
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig

SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
WIDE: dict[str, Any] = {
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
ENCODERS = {
    "bert": lambda: BertModel(BertConfig(vocab_size=50, **SIZES, **WIDE), add_pooling_layer=False),
    # MiniLM is a BERT with narrow layers and a longer position table.
    "minilm": lambda: BertModel(
        BertConfig(vocab_size=50, **SIZES, **{**WIDE, "max_position_embeddings": 64}),
        add_pooling_layer=False,
    ),
    "roberta": lambda: RobertaModel(
        RobertaConfig(vocab_size=50, pad_token_id=1, **SIZES, **WIDE), add_pooling_layer=False
    ),
    "mpnet": lambda: MPNetModel(
        MPNetConfig(vocab_size=50, pad_token_id=1, **SIZES, **WIDE), add_pooling_layer=False
    ),
    "electra": lambda: ElectraModel(
        ElectraConfig(vocab_size=50, embedding_size=16, **SIZES, **WIDE)
    ),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(
            vocab_size=50, dim=32, n_layers=4, n_heads=4, hidden_dim=64,
            max_position_embeddings=40, initializer_range=0.3,
        )
    ),
}  # fmt: skip
TEXTS = ([2, 7, 8, 3], [2, 9, 3], [2, *range(10, 20), 3])


class PaddingOnly(TextEncoder):
    """What the backend needs of a tokenizer when texts come as token ids."""

    def __init__(self, pad_token_id, wants_type_ids):
        self.pad_token_id = pad_token_id
        self.wants_type_ids = wants_type_ids


@pytest.fixture(params=ENCODERS, ids=str)
def family(request):
    torch.manual_seed(3)
    encoder = ENCODERS[request.param]().eval()
    classifier = MultiExitClassifier(encoder, MultiExitConfig(exits=(1, 3, 4), labels=2)).eval()
    pad = 1 if request.param in ("roberta", "mpnet") else 0
    types = request.param in ("bert", "minilm", "electra")
    return classifier, TorchBackend(classifier, PaddingOnly(pad, types))


@torch.inference_mode()
def test_stages_reach_hugging_faces_own_hidden_states(family):
    classifier, backend = family
    rows = backend.begin([Encoded(ids, [0] * len(ids), False) for ids in TEXTS])
    reached = []
    for stage in range(backend.stages):
        rows, _ = backend.run_stage(stage, rows)
        reached.append(rows[0].batch.states.hidden)
    for row, ids in enumerate(TEXTS):
        alone = classifier.encoder(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            output_hidden_states=True,
        )
        for stage, depth in enumerate(classifier.config.exits):
            found = reached[stage][row, : len(ids)]
            torch.testing.assert_close(found, alone.hidden_states[depth][0], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_survivors_have_the_logits_of_the_plain_forward(family):
    classifier, backend = family
    rows = backend.begin([Encoded(ids, [0] * len(ids), False) for ids in TEXTS])
    for stage in range(backend.stages):
        rows, logits = backend.run_stage(stage, rows)
        for ids, found in zip(TEXTS[: len(rows)], logits, strict=True):
            tensor = torch.tensor([ids])
            plain = classifier(tensor, torch.ones_like(tensor))[stage, 0]
            torch.testing.assert_close(torch.from_numpy(found), plain, atol=1e-4, rtol=1e-4)
        rows = rows[:-1]
