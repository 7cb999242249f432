"""Stages exported to OpenVINO: fp32 gives PyTorch's numbers, int8 the same whoever runs beside."""

import numpy as np
import openvino
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, BertModel

from offramp.errors import BundleError
from services.backends.exported import LEAST, stage_file
from services.backends.openvino_backend import OpenVinoBackend
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models import student_kinds
from services.models.files import read_integers
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.sequence_classifier import SequenceClassifier
from services.models.storage import load_weights, save_weights
from services.models.student import StudentConfig
from tests.support import tiers
from tests.support.backends import all_exits, begin
from training.openvino_export import export_fp32, export_int8
from training.openvino_graphs import converted

texts = st.lists(st.sampled_from(tiers.WORDS), min_size=1, max_size=30).map(" ".join)
EXAMPLES = [" ".join(tiers.WORDS[start : start + 9]) for start in range(50)]
RAGGED = [" ".join(tiers.WORDS[start : start + 1 + start % 9]) for start in range(50)]


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder.of(tiers.make_tokenizer(), tiers.MAX_TOKENS)


@pytest.fixture(scope="module")
def exported(encoder, tmp_path_factory):
    """Export a network; return what runs it."""

    def export(network, precision, examples=EXAMPLES):
        home = tmp_path_factory.mktemp(precision)
        folder, weights = home / "stages", home / "weights.safetensors"
        save_weights(network, weights, "fp32")
        if precision == "int8":
            rows = encoder.encode([(text, None) for text in examples])
            export_int8(network, encoder, folder, rows, integers=read_integers(weights))
        else:
            export_fp32(network, encoder, folder)
        return opened(folder, encoder, precision, network.stages)

    return export


def opened(folder, encoder, precision, stages):
    weights = folder.parent / "weights.safetensors"
    found = OpenVinoBackend(
        folder, stages, encoder, precision=precision, weights=weights, threads=1
    )
    found.prepare()
    return found


@pytest.fixture(scope="module")
def in_fp32(network, exported):
    return exported(network, "fp32")


@pytest.fixture(scope="module")
def in_int8(network, exported):
    return exported(network, "int8")


@settings(max_examples=30)
@given(st.lists(texts, min_size=1, max_size=5), st.lists(texts, min_size=1, max_size=5), st.data())
def test_in_fp32_rows_of_several_batches_go_on_as_in_pytorch(in_fp32, backend, first, second, data):
    pool = []
    for batch in (first, second):
        states, _ = in_fp32.run_stage(0, begin(in_fp32, batch))
        pool += zip(batch, states, strict=True)
    chosen = data.draw(st.permutations(pool))[: data.draw(st.integers(1, len(pool)))]
    states, logits = in_fp32.run_stage(1, [state for _, state in chosen])
    _, last = in_fp32.run_stage(2, states[::2])
    whole = [all_exits(backend, [text])[:, 0] for text, _ in chosen]
    np.testing.assert_allclose(logits, [exits[1] for exits in whole], atol=1e-4)
    np.testing.assert_allclose(last, [exits[2] for exits in whole[::2]], atol=1e-4)


@settings(max_examples=30)
@given(st.lists(texts, min_size=1, max_size=6))
def test_in_int8_a_row_is_the_same_alone_to_the_last_bit(in_int8, batch):
    together = all_exits(in_int8, batch)
    for row, text in enumerate(batch):
        assert np.array_equal(all_exits(in_int8, [text])[:, 0], together[:, row])


def test_int8_is_near_fp32_but_is_not_fp32(in_int8, in_fp32):
    quantised, exact = all_exits(in_int8, EXAMPLES), all_exits(in_fp32, EXAMPLES)
    assert not np.allclose(quantised, exact, atol=1e-4)
    # Weights drawn at random are far harder to quantise than trained ones, the deeper the worse.
    assert np.corrcoef(quantised[0].ravel(), exact[0].ravel())[0, 1] > 0.9
    assert (in_int8.name, in_int8.precision) == ("openvino-cpu-int8", "int8")


def test_in_int8_stages_compute_with_the_integers_that_are_stored(encoder, tmp_path):
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=64,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=32,
    )
    network = MultiExitClassifier(BertModel(config), MultiExitConfig(exits=(1, 2), labels=3)).eval()
    rows = encoder.encode([(text, None) for text in EXAMPLES])
    answers = []
    for home in (tmp_path / "once", tmp_path / "twice"):
        weights, folder = home / "weights.safetensors", home / "stages"
        home.mkdir()
        save_weights(network, weights)
        load_weights(network, weights)
        integers = read_integers(weights) if home.name == "once" else {}
        export_int8(network, encoder, folder, rows, integers=integers)
        answers.append(all_exits(opened(folder, encoder, "int8", 2), EXAMPLES))
    assert np.array_equal(*answers)
    large, sizes = 4 * 64**2 + 2 * 64 * 128, []
    for home in (tmp_path / "once", tmp_path / "twice"):
        sizes.append([(home / "stages" / f"stage{i}.bin").stat().st_size for i in range(2)])
    assert (np.subtract(*reversed(sizes)) >= large).all()


def test_masks_and_shapes_are_not_computed_anew_for_every_layer(network, encoder):
    _, *behind = converted(network, encoder)  # the first counts positions
    for model in behind:
        kinds = {op.get_type_name() for op in model.get_ops()}
        assert "ScaledDotProductAttention" in kinds
        assert not kinds & {"ShapeOf", "Range", "Broadcast"}


def make_small(kind):
    torch.manual_seed(3)
    if kind == "bert":
        config = BertConfig(
            vocab_size=64,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            num_labels=3,
        )
        return SequenceClassifier(BertForSequenceClassification(config), order=(2, 0, 1)).eval()
    return student_kinds.make(StudentConfig(vocabulary=64, labels=3, kind=kind)).eval()


@pytest.mark.parametrize("kind", ["conv", "static", "bert"])
def test_small_models_are_exported_too(kind, exported, encoder):
    network = make_small(kind)
    plain = TorchBackend(network, encoder)
    batch = [*EXAMPLES[:3], "w1"]
    np.testing.assert_allclose(
        all_exits(exported(network, "fp32"), batch), all_exits(plain, batch), atol=1e-4
    )


@pytest.mark.parametrize("kind", ["conv", "static"])
def test_int8_keeps_what_students_pool_whatever_the_padding(kind, exported, encoder):
    """No range is empty for padding's -inf, none is of a maximum, which OpenVINO then rounds.

    Looked up in the graph: without VNNI sums of int8 overflow, and answers are off for that.
    """
    torch.manual_seed(3)
    found = exported(make_small(kind), "int8", RAGGED)
    graph = openvino.Core().read_model(stage_file(found.folder, 0))
    ranges = [op for op in graph.get_ops() if op.get_type_name() == "FakeQuantize"]
    assert len(ranges) >= 4
    for op in ranges:
        of, low, high = (op.input_value(place).get_node() for place in range(3))
        assert of.get_type_name() != "ReduceMax"
        assert 0.1 < float(np.max(high.data - low.data)) < 100


def test_int8_of_a_student_is_near_fp32(exported, encoder):
    torch.manual_seed(3)
    network = make_small("conv")
    exact = all_exits(TorchBackend(network, encoder), RAGGED)
    rounded = all_exits(exported(network, "int8", RAGGED), RAGGED)
    assert np.abs(rounded - exact).mean() < 0.1 * exact.std(axis=1).mean()


def test_a_network_that_openvino_runs_differently_is_refused(encoder):
    # Rows of a recurrent student are packed by length, which tracing turns into one length.
    with pytest.raises(BundleError, match="stage 0 of this RecurrentStudent differs by"):
        converted(make_small("recurrent"), encoder)


def test_a_network_that_drops_tokens_is_refused(encoder):
    network = tiers.make_network()
    network.keep_tokens((0.5, 0.5))
    with pytest.raises(BundleError, match="drops tokens"):
        converted(network, encoder)


def test_a_folder_without_the_stages_is_an_error_that_says_how_to_make_them(encoder, tmp_path):
    with pytest.raises(BundleError, match="offramp calibrate"):
        OpenVinoBackend(tmp_path, 3, encoder, precision="int8", weights=tmp_path / "none")


def test_graphs_in_fp32_leave_large_weights_to_the_tier_s_own_file(exported, encoder, tmp_path):
    torch.manual_seed(0)
    sizes = StudentConfig(vocabulary=64, labels=3, kind="conv", embedding=64, width=64)
    network = student_kinds.make(sizes).eval()
    folder = exported(network, "fp32").folder
    small = sum(p.numel() for p in network.parameters() if p.numel() < LEAST)
    assert sum(path.stat().st_size for path in folder.glob("*.bin")) < 4 * (small + LEAST)
    # With other weights in the file the answers are others: that is where they are read from.
    with torch.no_grad():
        network.tokens.weight.mul_(-1.0)
    save_weights(network, folder.parent / "weights.safetensors", "fp32")
    with pytest.raises(BundleError, match=r"is off by .* engine\.backend to torch"):
        opened(folder, encoder, "fp32", 1)


def test_a_weight_that_is_missing_is_an_error(exported, encoder):
    sizes = StudentConfig(vocabulary=64, labels=3, kind="conv", embedding=64, width=64)
    network = student_kinds.make(sizes).eval()
    folder = exported(network, "fp32").folder
    save_weights(make_small("static"), folder.parent / "weights.safetensors", "fp32")
    with pytest.raises(BundleError, match="offramp export"):
        opened(folder, encoder, "fp32", 1)


def test_weights_of_the_same_numbers_are_put_in_wherever_they_stand(exported, monkeypatch, encoder):
    """As those of heads that have not learned yet are."""
    monkeypatch.setattr("services.backends.exported.LEAST", 16)
    network = tiers.make_network()
    for pool in network.pools:
        torch.nn.init.zeros_(pool.scores.weight)
    wanted = TorchBackend(network, encoder)
    wanted.prepare()
    found = exported(network, "fp32")
    np.testing.assert_allclose(
        all_exits(found, EXAMPLES[:3]), all_exits(wanted, EXAMPLES[:3]), atol=1e-4
    )
