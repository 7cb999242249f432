"""Dropping tokens: who stays is decided by attention received, and by each row alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from services.models.dropping import attention_received, keep_most_attended, tokens_kept
from services.models.files import NETWORK
from services.models.flops import exit_flops
from services.models.loading import _read_multi_exit, save_tier
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.staged import RowStates
from tests.support import encoders, tiers

KEEP = (0.6, 0.5)


def network(keep=KEEP, **changes) -> MultiExitClassifier:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
        "intermediate_size": 64, "initializer_range": 0.3,
    }  # fmt: skip
    encoder = BertModel(BertConfig(**{**sizes, **changes}), add_pooling_layer=False)
    return MultiExitClassifier(encoder, MultiExitConfig((1, 2, 4), 3, keep=keep)).eval()


def rows(lengths: list[int], width: int = 1) -> RowStates:
    """Rows whose hidden state is the place of each token."""
    places = torch.arange(max(lengths)).float().expand(len(lengths), -1)
    mask = (places < torch.tensor(lengths)[:, None]).long()
    return RowStates(
        places.unsqueeze(-1).repeat(1, 1, width), mask, torch.zeros(len(lengths), 1, 1)
    )


@given(tokens=st.integers(1, 600), percent=st.integers(1, 100))
@example(tokens=25, percent=56)  # 0.56 * 25 is more than 14 in floating point
def test_the_share_is_rounded_up_exactly(tokens: int, percent: int) -> None:
    kept = int(tokens_kept(torch.tensor([tokens]), percent / 100))
    assert kept == min(tokens, max(2, -(-tokens * percent // 100)))


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    share=st.sampled_from([0.1, 0.34, 0.5, 0.99]),
    seed=st.integers(0, 99),
)
def test_the_most_attended_stay_in_order_and_the_first_always(
    lengths: list[int], share: float, seed: int
) -> None:
    # Few values: ties are common, and go to the earlier token.
    received = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 4, (len(lengths), max(lengths)))
    ).float()
    found = keep_most_attended(rows(lengths), received, share)
    for row, length in enumerate(lengths):
        count = int(tokens_kept(torch.tensor(length), share))
        ranked = sorted(range(1, length), key=lambda i: (-float(received[row, i]), i))
        expected = sorted([0, *ranked[: count - 1]])
        assert found.attention_mask[row].tolist() == [1] * count + [0] * (
            found.attention_mask.shape[1] - count
        )
        assert found.hidden[row, :count, 0].tolist() == expected


def test_what_is_received_is_what_eager_attention_gives() -> None:
    eager = network(keep=None, attn_implementation="eager")
    ids, mask = torch.randint(5, 50, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    mask[0, 6:] = 0
    given = eager.encoder(ids, mask, output_attentions=True).attentions[0]
    expected = (given * mask[:, None, :, None]).sum(dim=(1, 2))
    hidden = eager.encoder.get_submodule("embeddings")(ids)
    layer = eager.family.layers(eager.encoder)[0]
    queries, keys = (layer.get_submodule(f"attention.self.{n}")(hidden) for n in ("query", "key"))
    found = attention_received(queries, keys, mask, heads=2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", encoders.DROPPING)
@torch.inference_mode()
def test_a_row_keeps_the_same_tokens_alone_and_among_others(name: str) -> None:
    encoder = encoders.make(name)
    dropping = MultiExitClassifier(encoder, MultiExitConfig((1, 3, 4), 2, keep=KEEP)).eval()
    ids, mask = torch.randint(5, 50, (3, 17)), torch.ones(3, 17, dtype=torch.long)
    mask[0, 4:] = 0
    mask[1, 11:] = 0
    together = dropping(ids, mask)
    for row, length in enumerate((4, 11, 17)):
        alone = dropping(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[:, row], alone[:, 0], atol=1e-4, rtol=1e-4)
    dropping.keep_tokens(None)
    assert not torch.allclose(together[1:], dropping(ids, mask)[1:], atol=1e-2)


@torch.inference_mode()
def test_the_first_exit_and_a_share_of_one_change_nothing() -> None:
    ids, mask = torch.randint(5, 50, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    whole = network(keep=None)(ids, mask)
    assert torch.equal(network(keep=(1.0, 1.0))(ids, mask), whole)
    assert torch.equal(network()(ids, mask)[0], whole[0])


@torch.inference_mode()
def test_later_layers_pool_over_the_tokens_that_are_left() -> None:
    dropping = network()
    states = dropping.embed(
        torch.randint(5, 50, (1, 10)), torch.ones(1, 10, dtype=torch.long), None
    )
    for stage, left in ((0, 6), (1, 3), (2, 3)):
        states, _ = dropping.run_stage(stage, states)
        assert states.attention_mask.tolist() == [[1] * left]
    torch.testing.assert_close(states.pooled[0, -1], states.hidden[0].mean(dim=0))


@torch.inference_mode()
def test_counted_flops_are_those_that_run_on_what_is_left() -> None:
    dropping, lengths = network(attn_implementation="eager"), range(30, 40)
    with FlopCounterMode(display=False) as counter:
        for tokens in lengths:
            ids = torch.randint(5, 50, (1, tokens))
            dropping(ids, torch.ones_like(ids))
    # Over ten lengths in a row, what rounding up adds evens out.
    counted = float(exit_flops(dropping)[-1].at(lengths).sum())
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert counted < 0.75 * float(exit_flops(network(keep=None))[-1].at(lengths).sum())


@torch.inference_mode()
def test_shared_layers_drop_by_the_attention_of_the_last_one_run() -> None:
    """ALBERT runs one layer again and again; each exit's tokens are chosen behind its own."""
    shared = encoders.make("albert")
    dropping = MultiExitClassifier(shared, MultiExitConfig((2, 4), 2, keep=(0.5,))).eval()
    states = dropping.embed(
        torch.randint(5, 50, (1, 12)), torch.ones(1, 12, dtype=torch.long), None
    )
    layer = dropping.family.layers(shared)[0]
    second = layer(states.hidden, None)
    queries, keys = (layer.get_submodule(f"attention.{name}")(second) for name in ("query", "key"))
    received = attention_received(queries, keys, states.attention_mask, heads=4)
    whole = RowStates(layer(second, None), states.attention_mask, states.pooled)
    found, _ = dropping.run_stage(0, states)
    torch.testing.assert_close(found.hidden, keep_most_attended(whole, received, 0.5).hidden)


@pytest.mark.parametrize("keep", [(0.5,), (0.5, 0.0), (0.5, 1.1), (0.5, 0.5, 0.5)])
def test_shares_that_do_not_fit_the_exits_are_refused(keep: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"keep must give 2 shares in 0\.\.1"):
        network(keep=keep)


@pytest.mark.parametrize("keep", [None, KEEP])
def test_shares_come_back_from_a_bundle(tmp_path, keep) -> None:
    save_tier(tmp_path / "large", network(keep), tiers.make_tokenizer(), "fp32")
    assert (tmp_path / "large" / NETWORK).exists()
    assert _read_multi_exit(tmp_path / "large").config == network(keep).config


@torch.inference_mode()
def test_fewer_exits_answer_as_before() -> None:
    whole = network(keep=None)
    ids, mask = torch.randint(5, 50, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    fewer = whole.with_exits((2, 4))
    assert fewer.config.exits == (2, 4)
    assert torch.equal(fewer(ids, mask), whole(ids, mask)[1:])
