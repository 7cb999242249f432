"""Which backend runs a tier where several could."""

import time

import pytest

from offramp.errors import BundleError
from services.backends.choice import fastest
from services.backends.tokenizing import TextEncoder
from services.backends.torch_backend import TorchBackend
from tests.support import tiers


class Slowed(TorchBackend):
    """A backend that takes so many seconds more per stage, or raises."""

    def __init__(self, network, seconds=0.0, error=None):
        super().__init__(network, TextEncoder.of(tiers.make_tokenizer(), tiers.MAX_TOKENS))
        self.seconds, self.error = seconds, error

    def prepare(self):
        if self.error:
            raise self.error
        super().prepare()

    def run_stage(self, stage, rows):
        time.sleep(self.seconds)
        return super().run_stage(stage, rows)


def test_the_fastest_is_taken(network):
    candidates = [Slowed(network, 0.1), Slowed(network), Slowed(network, 0.1)]
    assert fastest(candidates) is candidates[1]


@pytest.mark.parametrize("error", [BundleError("it is off by 3"), RuntimeError("no such device")])
def test_one_that_fails_is_left_out_and_told_of(network, error, caplog):
    candidates = [Slowed(network, error=error), Slowed(network)]
    assert fastest(candidates) is candidates[1]
    assert str(error) in caplog.text


def test_a_single_one_is_not_tried(network):
    only = Slowed(network, error=BundleError("it would fail"))
    assert fastest([only]) is only


def test_where_all_fail_the_first_is_taken_and_says_why_itself(network):
    candidates = [Slowed(network, error=BundleError("a")), Slowed(network, error=BundleError("b"))]
    assert fastest(candidates) is candidates[0]
