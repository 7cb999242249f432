"""Parameter groups: all that is trained, once, deeper layers more slowly."""

from __future__ import annotations

from collections import Counter

import pytest

from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from tests.support import encoders
from training.parameters import groups
from training.settings import LargeSettings


@pytest.mark.parametrize("name", encoders.NAMES)
def test_every_parameter_is_in_one_group(name: str) -> None:
    network = MultiExitClassifier(encoders.make(name), MultiExitConfig((2, 4), 2))
    found = groups(network, LargeSettings())
    assert Counter(id(p) for group in found for p in group["params"]) == Counter(
        id(p) for p in network.parameters()
    )


def test_deeper_layers_learn_more_slowly() -> None:
    options = LargeSettings(learning_rate=1.0, layer_decay=0.5)
    network = MultiExitClassifier(encoders.make("modernbert"), MultiExitConfig((4,), 2))
    rates = {id(p): group["lr"] for group in groups(network, options) for p in group["params"]}
    weights = [f"layers.{layer}.mlp.Wi.weight" for layer in range(4)]
    found = [rates[id(network.encoder.get_parameter(name))] for name in weights]
    assert found == [0.125, 0.25, 0.5, 1.0]
