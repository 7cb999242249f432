"""The shallow student: the large tier's own first layers, or narrower ones on its embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from services.models.flops import exit_flops
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from tests.support import encoders
from training.students import shallow

IDS = torch.tensor([[2, 7, 8, 9, 3], [2, 11, 12, 3, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])


def teacher(name: str) -> MultiExitClassifier:
    return MultiExitClassifier(encoders.make(name), MultiExitConfig((1, 3), labels=3)).eval()


def words(network: MultiExitClassifier) -> Tensor:
    return network.encoder.get_input_embeddings().get_parameter("weight")


@pytest.mark.parametrize("family", encoders.NAMES)
@pytest.mark.parametrize("layers", [1, 2])
@torch.inference_mode()
def test_cut_as_it_is_it_has_the_large_tiers_states(family: str, layers: int) -> None:
    large = teacher(family)
    small = shallow.cut(large, layers, None).eval()
    rows, _ = small.run_stage(0, small.embed(IDS, MASK, None))
    states = large.encoder(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
    expected = states.hidden_states[layers]
    torch.testing.assert_close(rows.hidden[MASK == 1], expected[MASK == 1], atol=1e-5, rtol=1e-4)
    assert small.stages == 1


def test_teaching_the_student_leaves_the_large_tier_as_it_is() -> None:
    large = teacher("bert")
    before = {name: tensor.clone() for name, tensor in large.state_dict().items()}
    small = shallow.cut(large, 1, None)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in large.state_dict().items())


@pytest.mark.parametrize("family", encoders.NAMES)
@torch.inference_mode()
def test_a_narrow_one_keeps_how_tokens_lie_to_each_other(family: str) -> None:
    large = teacher(family)
    known = words(large)
    # All variation lies in a few directions, as far as a narrow table can hold it.
    known.copy_(torch.randn(50, 12) @ torch.randn(12, known.shape[1]))
    small = shallow.cut(large, 2, 12).eval()
    kept = words(small)
    torch.testing.assert_close(torch.pdist(kept), torch.pdist(known), atol=1e-2, rtol=1e-3)
    assert small(IDS, MASK).shape == (1, 2, 3)


@torch.inference_mode()
def test_a_narrow_one_counts_positions_as_its_own_family_does() -> None:
    """RoBERTa's first position stands behind its padding token, BERT's at 0."""
    large = teacher("roberta")
    positions = large.encoder.get_parameter("embeddings.position_embeddings.weight")
    directions = shallow.main_directions(words(large), 8)
    narrow = shallow.cut(large, 1, 8).encoder
    kept = narrow.get_parameter("embeddings.position_embeddings.weight")
    torch.testing.assert_close(kept[0], positions[2] @ directions)
    assert len(kept) == len(positions) - 2


@pytest.mark.parametrize("width", [None, 12])
@torch.inference_mode()
def test_counted_flops_are_those_that_run(width: int | None) -> None:
    small = shallow.cut(teacher("bert"), 2, width).eval()
    # Plain attention, whose products torch's counter can see.
    small.encoder.set_attn_implementation("eager")
    ids = torch.randint(5, 50, (1, 20))
    with FlopCounterMode(display=False) as counter:
        small(ids, torch.ones_like(ids))
    counted = float(exit_flops(small)[-1].at(20))
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_main_directions_are_orthonormal_and_hold_the_most_variation() -> None:
    torch.manual_seed(0)
    spread = torch.tensor([5.0, 0.1, 3.0, 0.2])
    directions = shallow.main_directions(torch.randn(500, 4) * spread + 7.0, 2)
    torch.testing.assert_close(directions.T @ directions, torch.eye(2), atol=1e-5, rtol=1e-5)
    assert directions[0, 0].abs() > 0.99
    assert directions[2, 1].abs() > 0.99
