"""Networks: padding and batch mates change nothing, FLOPs match what runs."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
)

from services.models.flops import exit_flops
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.sequence_classifier import SequenceClassifier
from services.models.staged import StagedNetwork
from tests.support import encoders


def config() -> BertConfig:
    """Plain attention, whose products torch's counter can see."""
    return BertConfig(
        attn_implementation="eager",
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=3,
    )


def networks() -> dict[str, StagedNetwork]:
    torch.manual_seed(0)
    encoder = BertModel(config(), add_pooling_layer=False)
    cascade = MultiExitClassifier(encoder, MultiExitConfig((1, 2, 4), 3))
    for pool in cascade.pools:  # which begin as a mean
        torch.nn.init.normal_(pool.scores.weight)
    made = {
        "multi_exit": cascade,
        "sequence_classifier": SequenceClassifier(
            BertForSequenceClassification(config()), (0, 1, 2)
        ),
    }
    return {name: network.eval() for name, network in made.items()}


@pytest.mark.parametrize("name", ["multi_exit", "sequence_classifier"])
@torch.inference_mode()
def test_padding_and_batch_mates_change_nothing(name: str) -> None:
    network = networks()[name]
    ids = torch.randint(5, 50, (3, 12))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    mask[1, 9:] = 0
    together = network(ids * mask, mask)
    for row, length in enumerate((5, 9, 12)):
        alone = network(ids[row : row + 1, :length], mask[row : row + 1, :length])
        assert torch.allclose(alone[:, 0], together[:, row], atol=1e-5)


@pytest.mark.parametrize("name", ["multi_exit", "sequence_classifier"])
@pytest.mark.parametrize("tokens", [7, 40])
def test_counted_flops_are_those_that_run(name: str, tokens: int) -> None:
    compare_flops(networks()[name], tokens)


@pytest.mark.parametrize("name", encoders.NAMES)
@pytest.mark.parametrize("tokens", [7, 38])
def test_counted_flops_are_those_that_run_in_every_family(name: str, tokens: int) -> None:
    encoder = encoders.make(name, attn_implementation="eager")
    compare_flops(MultiExitClassifier(encoder, MultiExitConfig((1, 2, 4), 3)).eval(), tokens)


@pytest.mark.parametrize("name", ["albert", "deberta", "deberta-v2", "modernbert"])
def test_counted_flops_of_a_classifier_are_those_that_run_in_its_family(name: str) -> None:
    known = encoders.make(name, attn_implementation="eager").config
    model = AutoModelForSequenceClassification.from_config(known)
    compare_flops(SequenceClassifier(model, (0, 1)).eval(), 20)


@torch.inference_mode()
def compare_flops(network: StagedNetwork, tokens: int) -> None:
    ids = torch.randint(5, 50, (1, tokens))
    # The counter asks where tensors that want gradients come from; here none does.
    network.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        network(ids, torch.ones_like(ids))
    counted = float(exit_flops(network)[-1].at(tokens))
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_exits_must_be_ascending_layers_of_the_encoder() -> None:
    encoder = BertModel(config(), add_pooling_layer=False)
    for exits in ((), (2, 1), (0, 2), (1, 5), (2, 2)):
        with pytest.raises(ValueError, match="exits must"):
            MultiExitClassifier(encoder, MultiExitConfig(exits, 2))
