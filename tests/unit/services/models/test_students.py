"""Students of every kind: padding and batch mates change nothing, FLOPs match what runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from offramp.decision.cost import CostCurve
from services.models import student_kinds
from services.models.flops import exit_flops
from services.models.loading import read_network, save_tier
from services.models.student import Student, StudentConfig
from services.models.student_pairs import Comparison, segments_of
from services.models.student_static import bigrams
from tests.support.tiers import make_tokenizer

CLS, SEP, FIRST_WORD, VOCABULARY = 2, 3, 4, 60
KINDS = {
    "static": {},
    "static with bigrams": {"kind": "static", "bigrams": 32},
    "conv": {},
    "recurrent": {},
}
lengths = st.lists(st.integers(1, 11), min_size=1, max_size=5)


def student(name: str, pairs: bool) -> Student:
    torch.manual_seed(0)
    sizes = {"kind": name, **KINDS[name]}
    network = student_kinds.make(
        StudentConfig(VOCABULARY, 3, embedding=16, width=24, pairs=pairs, separator=SEP, **sizes)
    )
    for parameter in network.parameters():
        # Tables that begin at zero would hide what depends on them.
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def text(words: int, pairs: bool, draw: torch.Generator) -> torch.Tensor:
    ids = torch.randint(FIRST_WORD, VOCABULARY, (words,), generator=draw).tolist()
    middle = words // 2
    second = [*ids[middle:], SEP] if pairs else ids[middle:]
    ends = [SEP] if not pairs else []
    return torch.tensor([CLS, *ids[:middle], *([SEP] if pairs else []), *second, *ends])


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("typed", [False, True], ids=["untyped", "typed"])
@pytest.mark.parametrize("name", KINDS)
@given(words=lengths, padding=st.integers(0, 7), filler=st.integers(0, VOCABULARY - 1))
@torch.inference_mode()
def test_padding_and_batch_mates_change_nothing(
    name: str, typed: bool, pairs: bool, words: list[int], padding: int, filler: int
) -> None:
    network, draw = student(name, pairs), torch.Generator().manual_seed(len(words))
    texts = [text(count, pairs, draw) for count in words]
    longest = max(map(len, texts)) + padding
    ids = torch.full((len(texts), longest), filler)
    mask = torch.zeros_like(ids)
    for row, found in enumerate(texts):
        ids[row, : len(found)], mask[row, : len(found)] = found, 1
    types = segments_of(ids, SEP) * mask if typed else None
    together = network(ids, mask, types)
    for row, found in enumerate(texts):
        alone = found.unsqueeze(0)
        own = None if types is None else types[row : row + 1, : len(found)]
        expected = network(alone, torch.ones_like(alone), own)
        torch.testing.assert_close(together[:, row], expected[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("name", ["static", "static with bigrams", "conv"])
@pytest.mark.parametrize("tokens", [7, 40])
@torch.inference_mode()
def test_counted_flops_are_those_that_run(name: str, pairs: bool, tokens: int) -> None:
    network = student(name, pairs)
    ids = torch.randint(FIRST_WORD, VOCABULARY, (1, tokens))
    with FlopCounterMode(display=False) as counter:
        network(ids, torch.ones_like(ids))
    counted = float(exit_flops(network)[-1].at(tokens))
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_the_flops_of_a_recurrent_student_are_those_of_its_matrices() -> None:
    network = student("recurrent", pairs=False)
    matrices = [p for n, p in network.named_parameters() if n.startswith("both_ways.weight")]
    per_token = 2 * sum(matrix.numel() for matrix in matrices) + 2 * 2 * 24 * 4
    per_text = 2 * (24 * 5 * 24 + 24 * 3)
    assert exit_flops(network) == (CostCurve(constant=per_text, linear=per_token),)


@pytest.mark.parametrize("name", KINDS)
def test_defaults_cost_less_than_a_twentieth_of_a_six_layer_minilm(name: str) -> None:
    sizes = {"kind": name, **KINDS[name]}
    network = student_kinds.make(StudentConfig(VOCABULARY, 3, pairs=True, **sizes))
    minilm = CostCurve(linear=21233664.0, quadratic=9216.0)
    for tokens in (16, 128, 512):
        assert exit_flops(network)[0].at(tokens) < minilm.at(tokens) / 20


@pytest.mark.parametrize("name", KINDS)
@torch.inference_mode()
def test_the_answer_for_a_pair_depends_on_which_words_meet(name: str) -> None:
    """Moving a word to the other text leaves the bag of words as it is."""
    network = student(name, pairs=True)
    one = torch.tensor([[CLS, 10, 11, SEP, 10, 11, SEP]])
    other = torch.tensor([[CLS, 10, 10, SEP, 11, 11, SEP]])
    first, second = (network(ids, torch.ones_like(ids)) for ids in (one, other))
    assert (first - second).abs().max() > 1e-3


@torch.inference_mode()
def test_a_token_looks_at_its_like_across_and_never_at_its_own_text() -> None:
    torch.manual_seed(0)
    compare = Comparison(16)
    compare.sharpness.fill_(1000.0)
    hidden = torch.randn(1, 5, 16)
    hidden[0, 3] = hidden[0, 0]
    segments = torch.tensor([[0, 0, 0, 1, 1]])
    own = torch.zeros_like(hidden[0, 0])
    features = torch.cat([hidden[0, 0], own, hidden[0, 0] ** 2])
    expected = hidden[0, 0] + torch.nn.functional.gelu(compare.merge(features))
    found = compare(hidden, torch.ones_like(segments), segments)
    torch.testing.assert_close(found[0, 0], expected)


@torch.inference_mode()
def test_where_nothing_stands_across_nothing_is_seen() -> None:
    torch.manual_seed(0)
    compare, hidden = Comparison(16), torch.randn(1, 6, 16)
    one_text = torch.zeros(1, 6, dtype=torch.long)
    found = compare(hidden, torch.ones_like(one_text), one_text)
    features = torch.cat([hidden, hidden.abs(), torch.zeros_like(hidden)], dim=-1)
    torch.testing.assert_close(found, hidden + torch.nn.functional.gelu(compare.merge(features)))


def test_the_second_text_begins_behind_the_first_separator() -> None:
    ids = torch.tensor([[CLS, 9, SEP, SEP, 8, SEP], [CLS, 7, 7, 7, SEP, 0]])
    assert segments_of(ids, SEP).tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]]


def test_bigrams_know_the_order_of_words() -> None:
    ids = torch.tensor([[5, 6, 5]])
    found = bigrams(ids, torch.ones_like(ids), 10_007)[0].tolist()
    assert len(set(found)) == 3


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("name", KINDS)
@torch.inference_mode()
def test_in_bf16_it_says_nearly_the_same_of_long_texts_too(name: str, pairs: bool) -> None:
    """Lengths beyond 256 are not exact in bf16."""
    network = student(name, pairs)
    ids = torch.randint(FIRST_WORD, VOCABULARY, (2, 301))
    ids[:, 150] = SEP
    mask = torch.ones_like(ids)
    mask[0, 299:] = 0
    plain = network(ids, mask)
    rounded = network.to(torch.bfloat16)(ids, mask)
    torch.testing.assert_close(rounded.float(), plain, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("name", KINDS)
@torch.inference_mode()
def test_a_stored_student_comes_back_as_it_was(tmp_path: Path, name: str, pairs: bool) -> None:
    network = student(name, pairs)
    folder = tmp_path / "small"
    kind = save_tier(folder, network, make_tokenizer(), "fp32")
    assert kind == "student"
    again = read_network(folder, kind)
    ids = torch.randint(FIRST_WORD, VOCABULARY, (2, 9))
    assert torch.equal(network(ids, torch.ones_like(ids)), again(ids, torch.ones_like(ids)))


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="no student of kind 'tree'; known: static, conv, rec"):
        student_kinds.make(StudentConfig(VOCABULARY, 3, kind="tree"))
