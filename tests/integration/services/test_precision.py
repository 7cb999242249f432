"""A tier in bf16 or int8: it says so, answers nearly as in fp32, and needs readouts for it."""

import math

import numpy as np
import pytest

from offramp.bundle import PRECISIONS
from offramp.decision.confidence import Measure
from offramp.decision.readout import Readout
from offramp.errors import BundleError
from offramp.v1 import common_pb2, tier_pb2
from services.backends import opening, openvino_backend
from services.models.loading import load_tier
from tests.support import tiers
from tests.support.reference import exit_confidences, exit_probabilities

TEXTS = [f"w{n} w{n + 7} w{n + 3}" for n in range(20)]


@pytest.fixture(scope="module")
def bundle_in_all(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "all"
    return tiers.make_bundle(folder, precisions=PRECISIONS)


@pytest.mark.parametrize("precision", PRECISIONS)
async def test_a_tier_says_what_it_computes_in(serve, bundle_in_all, precision):
    _, stub = await serve("large", bundle_in_all, precision=precision)
    found = await stub.Describe(tier_pb2.DescribeRequest())
    backend = "openvino" if precision == "int8" else "torch"
    assert (found.precision, found.backend) == (precision, f"{backend}-cpu-{precision}")


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_answers_in_int8_are_the_same_in_any_company(
    serve, infer, make_item, bundle_in_all, tier
):
    _, stub = await serve(tier, bundle_in_all, precision="int8")
    items = [make_item(n, text) for n, text in enumerate(TEXTS)]
    together = await infer(stub, items)
    for item in items:
        alone = (await infer(stub, [item]))[item.id].answer
        assert alone.probabilities == together[item.id].answer.probabilities


async def test_answers_in_bf16_are_nearly_those_in_fp32(serve, infer, make_item, bundle_in_all):
    _, stub = await serve("large", bundle_in_all, precision="bf16")
    results = await infer(stub, [make_item(n, text) for n, text in enumerate(TEXTS)])
    found = np.array([results[n].answer.probabilities for n in range(len(TEXTS))])
    plain = np.array([exit_probabilities(text)[-1] for text in TEXTS])
    assert 1e-5 < np.abs(found - plain).max() < 0.1


@pytest.mark.parametrize(("faster", "precision"), [(0.0, "int8"), (math.inf, "fp32")])
async def test_int8_is_taken_by_itself_where_it_is_so_many_times_as_fast(
    serve, infer, make_item, bundle_in_all, monkeypatch, faster, precision
):
    monkeypatch.setattr(opening, "FASTER", faster)
    _, stub = await serve("large", bundle_in_all)
    assert (await stub.Describe(tier_pb2.DescribeRequest())).precision == precision
    assert (await infer(stub, [make_item(1, "w1 w2")]))[1].answer.tokens == 4


async def test_int8_that_computes_something_else_here_leaves_fp32(
    serve, bundle_in_all, monkeypatch, caplog
):
    monkeypatch.setattr(opening, "FASTER", 0.0)
    monkeypatch.setitem(openvino_backend.TOLERANCES, "int8", -1.0)
    _, stub = await serve("large", bundle_in_all)
    assert (await stub.Describe(tier_pb2.DescribeRequest())).precision == "fp32"
    assert "is off by" in caplog.text


@pytest.fixture(scope="module")
def exported_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "exported"
    return tiers.make_bundle(folder, precisions=("fp32", "bf16"), exported=True)


@pytest.fixture
def native(monkeypatch):
    """Sets whether the processor has bf16. Where it has not, OpenVINO really takes fp32."""
    return lambda able: monkeypatch.setattr(opening, "bf16_is_native", lambda: able)


@pytest.mark.parametrize(("able", "backend"), [(True, "openvino"), (False, "torch")])
async def test_bf16_is_run_by_openvino_where_the_processor_has_it(
    serve, infer, make_item, exported_bundle, native, able, backend
):
    native(able)
    _, stub = await serve("large", exported_bundle, precision="bf16")
    found = await stub.Describe(tier_pb2.DescribeRequest())
    assert (found.precision, found.backend) == ("bf16", f"{backend}-cpu-bf16")
    results = await infer(stub, [make_item(n, text) for n, text in enumerate(TEXTS)])
    answers = np.array([results[n].answer.probabilities for n in range(len(TEXTS))])
    plain = np.array([exit_probabilities(text)[-1] for text in TEXTS])
    assert np.abs(answers - plain).max() < 0.1


async def test_openvino_in_bf16_is_refused_where_the_processor_has_it_not(
    serve, exported_bundle, native
):
    native(False)
    with pytest.raises(
        BundleError, match=r"no instructions for bf16 .* set engine\.precision to fp32"
    ):
        await serve("large", exported_bundle, precision="bf16", backend="openvino")


@pytest.mark.parametrize(
    ("able", "faster", "precision"),
    [(True, 0.0, "bf16"), (True, math.inf, "fp32"), (False, 0.0, "fp32")],
)
async def test_bf16_is_taken_by_itself_where_it_is_native_and_faster(
    serve, exported_bundle, native, monkeypatch, able, faster, precision
):
    native(able)
    monkeypatch.setattr(opening, "FASTER", faster)
    monkeypatch.setattr(opening, "_gain", lambda *_: 2.0)
    _, stub = await serve("large", exported_bundle)
    found = await stub.Describe(tier_pb2.DescribeRequest())
    assert (found.precision, found.backend) == (precision, f"openvino-cpu-{precision}")


@pytest.mark.parametrize(
    ("speeds", "precision"),
    [
        ({"int8": 1.5, "bf16": 1.4}, "int8"),
        ({"int8": 1.5, "bf16": 1.9}, "int8"),  # not clearly faster than int8
        ({"int8": 1.5, "bf16": 3.0}, "bf16"),
        ({"int8": 1.2, "bf16": 1.5}, "bf16"),
        ({"int8": 1.2, "bf16": 1.2}, "fp32"),
    ],
)
async def test_the_fastest_is_taken_by_itself_where_it_is_clearly_so(
    serve, tmp_path, native, monkeypatch, speeds, precision
):
    precisions = ("fp32", "bf16", "int8")
    bundle = tiers.make_bundle(tmp_path / "b", precisions=precisions, exported=True)
    native(True)
    speeds = {"fp32": 1.0, **speeds}

    def gain(known, other, *_):
        return speeds[other.precision] / speeds[known.precision]

    monkeypatch.setattr(opening, "_gain", gain)
    _, stub = await serve("large", bundle)
    assert (await stub.Describe(tier_pb2.DescribeRequest())).precision == precision


def test_evidence_is_taken_with_what_serves(exported_bundle, bundle, native):
    tier = load_tier(exported_bundle, "large")
    assert opening.backend_of(tier, "fp32").name == "openvino-cpu-fp32"
    for able, name in ((True, "openvino-cpu-bf16"), (False, "torch-cpu-bf16")):
        native(able)
        assert opening.backend_of(tier, "bf16").name == name
    assert opening.backend_of(load_tier(bundle, "large"), "fp32").name == "torch-cpu-fp32"


@pytest.mark.parametrize("wishes", [{}, {"backend": "torch"}])
async def test_without_evidence_or_stages_for_it_a_tier_runs_in_fp32(
    serve, bundle, bundle_in_all, wishes
):
    _, stub = await serve("large", bundle_in_all if wishes else bundle, **wishes)
    assert (await stub.Describe(tier_pb2.DescribeRequest())).precision == "fp32"


async def test_a_precision_without_readouts_is_refused_with_the_remedy(serve, bundle):
    with pytest.raises(BundleError, match=r"tier 'large' has no evidence in bf16 \(it has: fp32\)"):
        await serve("large", bundle, precision="bf16")


def learned(item):
    item.plan.confidence = common_pb2.CONFIDENCE_MEASURE_LEARNED
    return item


async def test_the_learned_measure_decides_from_the_row_s_own_history(
    serve, infer, make_item, bundle
):
    _, stub = await serve("large", bundle)
    thresholds = {"large@1": 1.0, "large@2": 1.0, "large@4": 0.0}
    items = [learned(make_item(n, text, thresholds)) for n, text in enumerate(TEXTS)]
    results = await infer(stub, items)
    for number, text in enumerate(TEXTS):
        found = [step.confidence for step in results[number].answer.steps]
        assert found == pytest.approx(exit_confidences(text, Measure.LEARNED), abs=1e-4)


async def test_the_learned_measure_without_scores_is_refused_by_field(
    serve, infer, make_item, monkeypatch, tmp_path
):
    bare = {"large": (Readout(),) * len(tiers.LARGE_EXITS), "small": (Readout(),)}
    monkeypatch.setattr(tiers, "READOUTS", bare)
    _, stub = await serve("large", tiers.make_bundle(tmp_path / "bare"))
    error = (await infer(stub, [learned(make_item(1, "w1"))]))[1].error
    assert error.violations[0].field == "items[0].plan.confidence"
    assert "no learned score for the exits of this tier" in error.violations[0].description
