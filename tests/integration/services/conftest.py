"""Tiers served over real sockets, from a real bundle with random weights."""

import contextlib
import threading

import grpc
import pytest

from offramp.config import ServerSettings
from offramp.v1 import common_pb2, tier_pb2, tier_pb2_grpc
from services.server import TierServer
from services.settings import EngineSettings, TierSettings
from tests.support import tiers


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return tiers.make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def pairs_bundle(tmp_path_factory):
    return tiers.make_bundle(tmp_path_factory.mktemp("bundles") / "pairs", pairs=True)


@pytest.fixture
async def serve(bundle):
    """Start tiers; gives the server and a stub. Everything is stopped afterwards."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(service="large", directory=bundle, **engine):
            address = {"address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0"}
            chosen = EngineSettings(**{"threads": 1, "warmup": False, "max_batch": 4, **engine})
            settings = TierSettings(
                server=ServerSettings(**address), bundle=directory, engine=chosen
            )
            server = TierServer(service, settings)
            stack.push_async_callback(server.close)
            await server.start()
            await server.warm_up()
            await server.set_serving(True)
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
            await stack.enter_async_context(channel)
            return server, tier_pb2_grpc.TierServiceStub(channel)

        yield start


@pytest.fixture
def make_item():
    """Items as a router sends them; thresholds by exit name."""

    def make(number, text, thresholds=None, last_exit="", timeout_ms=0, pair=None):
        plan = common_pb2.ExitPlan(
            thresholds=[
                common_pb2.ExitThreshold(exit=name, threshold=value)
                for name, value in (thresholds or {}).items()
            ],
            last_exit=last_exit,
        )
        text_input = common_pb2.TextInput(text=text, text_pair=pair)
        return tier_pb2.InferItem(id=number, input=text_input, plan=plan, timeout_ms=timeout_ms)

    return make


@pytest.fixture
def infer():
    """Send items in one message and collect the results by id until the server ends the stream."""

    async def run(stub, items):
        call = stub.Infer(iter([tier_pb2.InferRequest(items=items)]))
        found = [result async for response in call for result in response.results]
        assert len({result.id for result in found}) == len(found)
        return {result.id: result for result in found}

    return run


class Conversation:
    """A stream that is kept open: send when wanted, read results one by one."""

    def __init__(self, stub):
        self.call = stub.Infer()
        self._results = []

    async def send(self, *items, cancelled=()):
        await self.call.write(tier_pb2.InferRequest(items=items, cancelled_ids=cancelled))

    async def next(self):
        """The next result, and how many more came in the same message."""
        while not self._results:
            response = await self.call.read()
            assert isinstance(response, tier_pb2.InferResponse), "the stream has ended"
            self._results = list(response.results)
        return self._results.pop(0)

    async def has_ended(self):
        """Whether the server has nothing more to send."""
        await self.call.done_writing()
        return not isinstance(await self.call.read(), tier_pb2.InferResponse)


@pytest.fixture
def converse():
    return Conversation


class Gate:
    """Holds the compute thread before a stage, so that a test can act while rows are in flight."""

    def __init__(self, server):
        self._open = threading.Event()
        self.reached = threading.Event()
        backend = server._worker._engine.backend
        self._run_stage = backend.run_stage
        backend.run_stage = self._wait_and_run

    def _wait_and_run(self, stage, rows):
        self.reached.set()
        self._open.wait(timeout=60)
        return self._run_stage(stage, rows)

    def open(self):
        self._open.set()


@pytest.fixture
def gate():
    """Make gates; all are open in the end, so that no thread is left waiting."""
    gates = []

    def make(server):
        gates.append(Gate(server))
        return gates[-1]

    yield make
    for found in gates:
        found.open()
