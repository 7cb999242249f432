"""Packed stages: every row has the numbers that it has alone, unpacked."""

import numpy as np
import openvino
import pytest
import torch
from openvino import opset13 as ops

from services.backends import shapes
from services.backends.exported import HIDDEN, IDS, LOGITS, MASK, NEXT_HIDDEN, POOLED
from services.backends.openvino_backend import OpenVinoBackend
from services.backends.packed_stages import WORTH_PACKING, pack
from services.backends.packing import NEIGHBOURS, ORDER, PLACES, Packing
from services.backends.rows import padded
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.models import student_kinds
from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from services.models.storage import save_weights
from services.models.student import StudentConfig
from tests.support import encoders, tiers
from tests.support.backends import all_exits, begin
from training.openvino_export import export_fp32
from training.openvino_graphs import compiled, converted

WIDTH = WORTH_PACKING
VOCABULARY = len(tiers.SPECIAL) + len(tiers.WORDS)
RAGGED = ([9, 1, 4], [1], [3, 3, 12, 2, 1])


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder.of(tiers.make_tokenizer(), tiers.MAX_TOKENS)


# Networks.


def made(kind):
    torch.manual_seed(3)
    if isinstance(kind, dict):
        sizes = StudentConfig(VOCABULARY, 3, embedding=WIDTH, width=WIDTH + 32, **kind)
        return student_kinds.make(sizes).eval()
    name, pooling = kind
    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 3}
    encoder = encoders.make(name, vocab_size=VOCABULARY, initializer_range=0.1, **sizes)
    return MultiExitClassifier(encoder, MultiExitConfig((1, 3), 3, pooling)).eval()


NETWORKS = {
    "static": {"kind": "static"},
    "static for pairs": {"kind": "static", "pairs": True},
    "conv": {"kind": "conv"},
    "conv for pairs": {"kind": "conv", "pairs": True, "kernel": 5, "dilations": (1, 2)},
    "bert": ("bert", "attention"),
    "with gates": ("eurobert", "cls"),
    "with a convolution": ("deberta-v2-xlarge", "mean"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def served(request, encoder, tmp_path_factory):
    """A network run by OpenVINO, and by PyTorch."""
    home = tmp_path_factory.mktemp("served")
    network = made(NETWORKS[request.param])
    save_weights(network, home / "weights", "fp32")
    export_fp32(network, encoder, home / "stages")
    found = OpenVinoBackend(
        home / "stages",
        network.stages,
        encoder,
        precision="fp32",
        weights=home / "weights",
        threads=1,
    )
    found.prepare()
    return found, TorchBackend(network, encoder)


def texts(lengths):
    words = np.random.default_rng(sum(lengths)).permutation(tiers.WORDS)
    return [" ".join(words[number : number + length]) for number, length in enumerate(lengths)]


def alone(backend, stage, batch):
    return [all_exits(backend, [text])[stage, 0] for text in batch]


def test_rows_of_several_batches_have_the_logits_of_pytorch_alone(served):
    found, plain = served
    rows = []
    for batch in [texts(lengths) for lengths in (*RAGGED, [30, 1])]:
        states, logits = found.run_stage(0, begin(found, batch))
        np.testing.assert_allclose(logits, alone(plain, 0, batch), atol=1e-4)
        rows += zip(batch, states, strict=True)
    batch, states = zip(*rows[1::2], strict=True)
    for stage in range(1, found.stages):
        states, logits = found.run_stage(stage, states)
        np.testing.assert_allclose(logits, alone(plain, stage, batch), atol=1e-4)


def test_all_of_a_transformer_that_is_dense_reads_packed_tokens(encoder):
    for model in converted(made(("bert", "mean")), encoder):
        layers = len(of_kind(model, "ScaledDotProductAttention"))
        assert pack(model) == 0
        dense = [
            node
            for node in of_kind(model, "MatMul")
            if len(node.output(0).get_partial_shape()) == 3
        ]
        assert len(dense) == 6 * layers
        assert all(is_packed(node, 1) for node in dense)


@pytest.mark.parametrize(
    ("kernel", "dilations", "reach"),
    [(1, (1, 3), 0), (3, (1,), 1), (3, (1, 3, 5), 5), (5, (2, 1), 4)],
)
def test_the_convolutions_of_a_student_are_products_of_packed_tokens(
    encoder, kernel, dilations, reach
):
    sizes = {"kind": "conv", "kernel": kernel, "dilations": dilations}
    (model,) = converted(made(sizes), encoder)
    assert len(of_kind(model, "Convolution")) == len(dilations)
    assert pack(model) == reach
    assert not of_kind(model, "Convolution")
    products = [node.input(1).get_partial_shape() for node in of_kind(model, "MatMul")]
    widths = [WIDTH, *(WIDTH + 32 for _ in dilations)][: len(dilations)]
    assert [shape[1] for shape in products[: len(dilations)]] == [kernel * w for w in widths]
    # No packed token is turned. Ids and segments are packed; scores, values and largest are not.
    assert not [n for n in of_kind(model, "Transpose") if is_packed(n, 1) or is_packed(n, 2)]
    assert [len(readers_of(model, name)) for name in (PLACES, ORDER)] == [2, 3]


def test_a_graph_with_nothing_dense_stays_as_it_is(encoder):
    (model,) = converted(made({"kind": "static"}), encoder)
    before = [(node.get_name(), node.get_type_name()) for node in model.get_ordered_ops()]
    assert pack(model) == 0
    assert [(n.get_name(), n.get_type_name()) for n in model.get_ordered_ops()] == before


def of_kind(model, kind):
    return [node for node in model.get_ordered_ops() if node.get_type_name() == kind]


def readers_of(model, name):
    """What reads an input of the graph."""
    (port,) = [port for port in model.inputs if name in port.get_names()]
    return port.get_target_inputs()


def is_packed(node, along):
    """Whether it reads tokens of all rows end to end, as one row."""
    shape = node.input(0).get_partial_shape()
    return shape[0] == 1 and shape[along].is_dynamic


def test_hidden_states_leave_by_their_name_whatever_gives_them():
    """A product is made anew for packed tokens, and what turned them is left out."""
    hidden = named(ops.parameter([-1, -1, WIDTH], np.float32), HIDDEN)
    wide = ops.matmul(hidden, ops.constant(np.eye(WIDTH, dtype=np.float32)), False, False)
    wide = turned(turned(wide, 0, 2, 1), 0, 2, 1)
    mask = ops.convert(named(ops.parameter([-1, -1], np.int64), MASK), "f32")
    logits = total(ops.multiply(wide, ops.unsqueeze(mask, np.int64(2))), 1)
    results = [ops.result(named(wide, NEXT_HIDDEN)), ops.result(named(logits, LOGITS))]
    model = openvino.Model(results, [hidden, mask.input_value(0).get_node()])
    pack(model)
    rows = [np.ones((3, WIDTH)), np.full((1, WIDTH), 2.0)]
    packed = Packing.of(np.array([3, 1]), (2, 4))
    found = compiled(model)(
        {
            HIDDEN: shapes.filled(np.concatenate(rows), packed.places.shape)[None],
            MASK: shapes.mask(np.array([3, 1]), (2, 4)),
            ORDER: packed.order,
        }
    )
    np.testing.assert_allclose(found[NEXT_HIDDEN][0, :4], np.concatenate(rows))
    np.testing.assert_allclose(found[LOGITS], [[3.0] * WIDTH, [2.0] * WIDTH])


# Sketches of graphs that ask for trouble.


def constant(*shape):
    values = np.random.default_rng(sum(shape)).normal(size=shape) / 8
    return ops.constant(values.astype(np.float32))


def dense(rows):
    return ops.matmul(rows, constant(WIDTH, WIDTH), False, False)


def turned(rows, *order):
    return ops.transpose(rows, np.array(order))


def convolved(rows, kernel, pad):
    upright = turned(rows, 0, 2, 1)
    found = ops.convolution(upright, constant(WIDTH, WIDTH, kernel), [1], [pad], [pad], [1])
    return turned(found, 0, 2, 1)


def total(rows, *axes):
    return ops.reduce_sum(rows, np.array(axes), False)


def cut(rows, begin, step):
    wide = np.iinfo(np.int64).max
    given = [np.array([number]) for number in (begin, wide, step, 1)]
    return ops.slice(rows, *given)


def zeros_are_summed(rows, mask, pooled):
    return total(ops.multiply(dense(rows), mask), 1)


def zeros_are_summed_and_convolved(rows, mask, pooled):
    own = ops.multiply(dense(rows), mask)
    return total(ops.add(own, ops.multiply(convolved(own, 3, 1), mask)), 1)


def zeros_are_summed_and_convolved_one_by_one(rows, mask, pooled):
    own = ops.multiply(dense(rows), mask)
    return total(ops.add(own, ops.multiply(convolved(own, 1, 0), mask)), 1)


def convolved_twice(rows, mask, pooled):
    wide = ops.gelu(convolved(ops.multiply(rows, mask), 5, 2), "erf")
    return total(ops.multiply(convolved(ops.multiply(wide, mask), 5, 2), mask), 1)


def computed_while_turned(rows, mask, pooled):
    """By numbers of every feature, or of all, in the forms that they may have."""
    upright = turned(ops.multiply(rows, mask), 0, 2, 1)
    found = ops.convolution(upright, constant(WIDTH, WIDTH, 3), [1], [1], [1], [1])
    found = ops.add(ops.multiply(found, constant(1, WIDTH, 1)), constant(WIDTH, 1))
    edges = np.linspace(0.5, 1, WIDTH, dtype=np.float32)[None, :, None]
    found = ops.fake_quantize(found, -edges, edges, np.float32(-1), np.float32(1), 256)
    return total(ops.multiply(turned(ops.gelu(found, "erf"), 0, 2, 1), mask), 1)


def zeros_are_multiplied_and_summed(rows, mask, pooled):
    own = ops.multiply(dense(rows), mask)
    return total(ops.multiply(own, ops.sigmoid(convolved(own, 3, 1))), 1)


def rounded_zeros_are_summed_and_convolved(rows, mask, pooled):
    one = np.float32(1)
    own = ops.fake_quantize(ops.multiply(dense(rows), mask), -one, one, -one, one, 255)
    return ops.add(total(own, 1), total(ops.multiply(convolved(own, 3, 1), mask), 1))


def rounded_zeros_are_added_to_others(rows, mask, pooled):
    one = np.float32(1)
    own = ops.fake_quantize(ops.multiply(dense(rows), mask), -one, one, -one, one, 255)
    both = ops.add(ops.add(own, convolved(own, 3, 1)), ops.multiply(rows, mask))
    seen = convolved(ops.multiply(both, mask), 3, 1)
    return ops.add(total(ops.multiply(both, mask), 1), total(ops.multiply(seen, mask), 1))


def convolved_between(rows, mask, pooled):
    """One number less than tokens."""
    found = convolved(ops.multiply(dense(rows), mask), 2, 0)
    return total(ops.multiply(found, cut(mask, 1, 1)), 1)


def tokens_come_first(rows, mask, pooled):
    """As in XLNet: (T, B, F)."""
    return total(ops.multiply(dense(turned(rows, 1, 0, 2)), turned(mask, 1, 0, 2)), 0)


def every_second_token(rows, mask, pooled):
    return total(ops.multiply(dense(cut(rows, 0, 2)), cut(mask, 0, 2)), 1)


def twice_by_a_constant(rows, mask, pooled):
    twice = ops.multiply(dense(rows), constant(2, 1, 1, 1))
    return total(ops.multiply(twice, mask), 0, 2)


def states_pooled_so_far(rows, mask, pooled):
    """They are as little known as tokens: (B, D, F)."""
    return ops.add(total(ops.multiply(rows, mask), 1), total(dense(pooled), 1))


def tokens_meet_a_state_of_their_row(rows, mask, pooled):
    state = ops.reduce_sum(pooled, np.array([1]), True)
    return total(ops.multiply(ops.add(dense(rows), state), mask), 1)


SKETCHES = [
    zeros_are_summed,
    zeros_are_summed_and_convolved,
    zeros_are_summed_and_convolved_one_by_one,
    convolved_twice,
    computed_while_turned,
    zeros_are_multiplied_and_summed,
    rounded_zeros_are_summed_and_convolved,
    rounded_zeros_are_added_to_others,
    convolved_between,
    tokens_come_first,
    every_second_token,
    twice_by_a_constant,
    states_pooled_so_far,
    tokens_meet_a_state_of_their_row,
]


def stage(build):
    """The graph of a stage that embeds tokens; padding is no zeros."""
    ids, mask, pooled = (
        named(ops.parameter([-1, -1], np.int64), IDS),
        named(ops.parameter([-1, -1], np.int64), MASK),
        named(ops.parameter([-1, -1, WIDTH], np.float32), POOLED),
    )
    rows = ops.gather(constant(VOCABULARY, WIDTH), ids, np.int64(0))
    own = ops.unsqueeze(ops.convert(mask, "f32"), np.int64(2))
    logits = named(build(rows, own, pooled), LOGITS)
    return openvino.Model([ops.result(logits)], [ids, mask, pooled])


def named(node, name):
    node.output(0).get_tensor().set_names({name})
    return node


def inputs(rows, pooled, reach):
    lengths = np.array([len(row) for row in rows])
    shape = shapes.next_up(len(lengths), int(lengths.max()), 0)
    packed = Packing.of(lengths, shape)
    return {
        IDS: shapes.filled(padded(rows, 0), shape),
        MASK: shapes.mask(lengths, shape),
        POOLED: shapes.filled(pooled, shape[:1]),
        PLACES: packed.places,
        ORDER: packed.order,
        NEIGHBOURS: packed.neighbours(reach),
    }


def answers(run, rows, pooled, reach=0):
    wanted = {port.get_any_name() for port in run.inputs}
    given = {n: array for n, array in inputs(rows, pooled, reach).items() if n in wanted}
    return run(given)[LOGITS][: len(rows)]


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda sketch: sketch.__name__)
def test_a_packed_row_is_what_it_is_unpacked_and_alone(sketch):
    model = stage(sketch)
    plain = compiled(model)
    reach = pack(model)
    packed = compiled(model)
    for lengths in RAGGED:
        rng = np.random.default_rng(len(lengths))
        rows = [rng.integers(1, VOCABULARY, size=length) for length in lengths]
        pooled = rng.normal(size=(len(rows), 3, WIDTH)).astype(np.float32)
        wanted = [
            answers(plain, [row], own[None])[0] for row, own in zip(rows, pooled, strict=True)
        ]
        np.testing.assert_allclose(answers(packed, rows, pooled, reach), wanted, atol=1e-4)
