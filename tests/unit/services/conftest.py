"""The tiny large tier, as the units of the engine see it."""

import pytest
from prometheus_client import CollectorRegistry

from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from services.engine.core import Engine
from services.engine.scheduler import Scheduler
from services.metrics import TierMetrics
from tests.support import tiers

EXITS = tuple(f"large@{layer}" for layer in tiers.LARGE_EXITS)


@pytest.fixture(scope="session")
def network():
    return tiers.make_network()


@pytest.fixture(scope="session")
def backend(network):
    return TorchBackend(network, TextEncoder.of(tiers.make_tokenizer(), tiers.MAX_TOKENS))


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def make_engine(backend):
    """Engines over the tiny tier; each has metrics of its own."""

    def make(max_batch=4, run_by=None, **settings):
        metrics = TierMetrics(settings.pop("registry", CollectorRegistry()), EXITS)
        scheduler = Scheduler(backend.stages, max_batch)
        readouts = tiers.READOUTS["large"]
        return Engine(run_by or backend, readouts, scheduler, metrics, **settings)

    return make
