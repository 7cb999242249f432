"""The large tier at full depth as a Hugging Face model: what the peers serve.

Copied beside its weights and loaded by transformers (trust_remote_code), also by versions and in
environments that know nothing of this project; so it imports nothing of it.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class FullDepthConfig(PretrainedConfig):
    """encoder: the encoder's own config.  depth: layers that are run."""

    model_type = "offramp_full_depth"

    def __init__(self, encoder=None, depth=0, **more):
        super().__init__(**more)
        self.encoder = encoder or {}
        self.depth = depth


class FullDepthForSequenceClassification(PreTrainedModel):
    """An encoder and one classifier on its attention-pooled layers, as the last exit has it."""

    config_class = FullDepthConfig

    def __init__(self, config):
        super().__init__(config)
        inner = AutoConfig.for_model(**config.encoder)
        self.encoder = AutoModel.from_config(inner)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None
        width, parts = inner.hidden_size, inner.num_attention_heads
        self.pools = nn.ModuleList(nn.Linear(width, parts) for _ in range(config.depth + 1))
        self.mix = nn.Parameter(torch.zeros(config.depth + 1))
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, config.num_labels)
        self.post_init()

    def _init_weights(self, module):
        """Weights are loaded, never drawn."""

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, **_):
        """Logits of a padded batch."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids
        layers = self.encoder(**given, output_hidden_states=True).hidden_states
        outside = attention_mask.unsqueeze(-1) == 0
        pooled = []
        for scores, hidden in zip(self.pools, layers, strict=True):
            shares = torch.softmax(scores(hidden).masked_fill(outside, float("-inf")), dim=1)
            parts = hidden.unflatten(-1, (shares.shape[-1], -1))
            pooled.append(torch.einsum("btp,btpd->bpd", shares, parts).flatten(1))
        mixed = torch.einsum("s,sbh->bh", torch.softmax(self.mix, 0), torch.stack(pooled))
        logits = self.out(nn.functional.gelu(self.dense(mixed)))
        return SequenceClassifierOutput(logits=logits)
