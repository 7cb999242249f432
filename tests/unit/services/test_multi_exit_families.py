"""Every family of encoders, run stage by stage, has the hidden states of Hugging Face."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AlbertConfig, BertConfig, GPT2Config, PretrainedConfig, T5Config

from services.backends.base import Encoded
from services.backends.tokenizing import InputForm, TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models.families import FAMILIES, family_of
from services.models.loading import read_network, save_tier
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from tests.support import encoders, tiers

TEXTS = ([2, *range(5, 20), 3], [2, 9, 3], [2, *range(10, 30), 3])


class PaddingOnly(TextEncoder):
    """What the backend needs of a tokenizer when texts come as token ids."""

    vocabulary = 0

    def __init__(self, pad_token_id: int, wants_type_ids: bool) -> None:
        self.form = InputForm(pad_token_id, wants_type_ids)


@pytest.fixture(params=encoders.NAMES)
def classifier(request: pytest.FixtureRequest) -> MultiExitClassifier:
    return made(request.param)


def made(name: str) -> MultiExitClassifier:
    encoder = encoders.make(name)
    network = MultiExitClassifier(encoder, MultiExitConfig(exits=(1, 3, 4), labels=2))
    for pool in network.pools:  # which begin as a mean
        torch.nn.init.normal_(pool.get_parameter("scores.weight"))
    return network.eval()


def served(classifier: MultiExitClassifier, precision: str = "fp32") -> TorchBackend:
    config = classifier.encoder.config
    types = getattr(config, "type_vocab_size", 0) > 1
    backend = TorchBackend(classifier, PaddingOnly(config.pad_token_id, types), precision=precision)
    backend.prepare()
    return backend


def rows_of(texts: tuple[list[int], ...]) -> list[Encoded]:
    return [Encoded(ids, [0] * len(ids), False) for ids in texts]


@torch.inference_mode()
def hugging_faces(classifier: MultiExitClassifier, ids: list[int]) -> tuple[Tensor, ...]:
    """States behind each layer (T, H) of a text by itself."""
    given = torch.tensor([ids])
    found = classifier.encoder(
        input_ids=given, attention_mask=torch.ones_like(given), output_hidden_states=True
    )
    return tuple(states[0] for states in found.hidden_states)


@torch.inference_mode()
def test_stages_reach_hugging_faces_own_hidden_states(classifier: MultiExitClassifier) -> None:
    """Padded to the longest text, and again when that one has left."""
    backend, family = served(classifier), classifier.family
    rows = backend.begin(rows_of(TEXTS))
    for stage, depth in enumerate(classifier.config.exits):
        rows, _ = backend.run_stage(stage, rows)
        for row, ids in zip(rows, TEXTS, strict=False):
            found = row.batch.states.hidden[row.index, : len(ids)]
            if depth == 4:
                found = family.readable(classifier.encoder, found)
            expected = hugging_faces(classifier, ids)[depth]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        rows = rows[:-1]


@torch.inference_mode()
def test_survivors_have_the_logits_of_the_plain_forward(classifier: MultiExitClassifier) -> None:
    backend = served(classifier)
    rows = backend.begin(rows_of(TEXTS))
    for stage in range(backend.stages):
        rows, logits = backend.run_stage(stage, rows)
        for ids, found in zip(TEXTS[: len(rows)], logits, strict=True):
            tensor = torch.tensor([ids])
            plain = classifier(tensor, torch.ones_like(tensor))[stage, 0]
            torch.testing.assert_close(torch.from_numpy(found), plain, atol=1e-5, rtol=1e-5)
        rows = rows[:-1]


@torch.inference_mode()
def test_texts_of_different_batches_go_on_together(classifier: MultiExitClassifier) -> None:
    backend = served(classifier)
    apart = [backend.run_stage(0, backend.begin(rows_of((ids,))))[0][0] for ids in TEXTS]
    together, _ = backend.run_stage(0, backend.begin(rows_of(TEXTS)))
    for left, right in zip(
        backend.run_stage(1, apart)[1], backend.run_stage(1, together)[1], strict=True
    ):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_bundle_brings_it_back(classifier: MultiExitClassifier, tmp_path: Path) -> None:
    kind = save_tier(tmp_path / "large", classifier, tiers.make_tokenizer(), "fp32")
    back = read_network(tmp_path / "large", kind)
    ids = torch.randint(5, 50, (2, 9))
    assert torch.equal(back(ids, torch.ones_like(ids)), classifier(ids, torch.ones_like(ids)))


@torch.inference_mode()
def test_layers_behind_the_last_exit_stay_out_of_a_bundle(
    classifier: MultiExitClassifier, tmp_path: Path
) -> None:
    shallower = classifier.with_exits((1, 3))
    kind = save_tier(tmp_path / "large", shallower, tiers.make_tokenizer(), "fp32")
    back = read_network(tmp_path / "large", kind)
    assert isinstance(back, MultiExitClassifier)
    assert len(back.family.layers(back.encoder)) == 3
    ids = torch.randint(5, 50, (2, 9))
    assert torch.equal(back(ids, torch.ones_like(ids)), shallower(ids, torch.ones_like(ids)))


@pytest.mark.parametrize("name", ["modernbert", "nomic_bert", "eurobert"])
@torch.inference_mode()
def test_turns_stay_exact_where_weights_are_cast(name: str) -> None:
    """Frequencies in bf16 would turn a late token by another angle."""
    network = made(name)
    turns: list[Tensor] = []
    network.encoder.get_submodule("rotary_emb").register_forward_hook(
        lambda _, __, output: turns.append(output[0])
    )
    late = rows_of(([*range(5, 45)] * 8,))
    for precision in ("fp32", "bf16"):
        backend = served(network, precision)
        backend.run_stage(0, backend.begin(late))
    exact, rounded = turns[: len(turns) // 2], turns[len(turns) // 2 :]
    for first, second in zip(exact, rounded, strict=True):
        torch.testing.assert_close(second.float(), first, atol=2**-8, rtol=0)


@pytest.mark.parametrize("config", [GPT2Config(), T5Config()], ids=["gpt2", "t5"])
def test_what_is_no_encoder_is_refused_with_what_works(config: PretrainedConfig) -> None:
    with pytest.raises(ValueError, match=r"not supported; use one of: bert, albert, .*modernbert"):
        family_of(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BertConfig(is_decoder=True), r"'bert' is set up as a decoder \(is_decoder\)"),
        (AlbertConfig(num_hidden_groups=2), "layers do not share all their weights"),
        (AlbertConfig(inner_group_num=2), "layers do not share all their weights"),
    ],
)
def test_an_encoder_set_up_otherwise_is_refused(config: PretrainedConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        family_of(config)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in encoders.DROPPING])
def test_a_family_that_sees_where_tokens_stand_keeps_all_of_them(name: str) -> None:
    with pytest.raises(ValueError, match="sees where tokens stand: it must keep all of them"):
        made(name).keep_tokens((0.5, 0.5))
