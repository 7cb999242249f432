"""The bundle that ships: sound, small, cheap at the first tier, and right about plain sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import read_evidence, read_manifest, verify_tier
from offramp.decision.confidence import Measure
from offramp.decision.frontier import Frontier
from services.models.loading import load_tier
from training.batches import encode
from training.data import Text
from training.large import score

BUNDLE = Path(__file__).parent.parent.parent / "bundles" / "sentiment"
MEGABYTE = 1_000_000
PLAIN = {
    "a gorgeous, witty, seductive movie": "positive",
    "one of the best films of the year": "positive",
    "a dull and lifeless mess": "negative",
    "the plot is tedious and the jokes fall flat": "negative",
}


def test_it_is_whole_and_its_evidence_belongs_to_it() -> None:
    manifest = read_manifest(BUNDLE)
    for tier in manifest.tiers:
        verify_tier(BUNDLE, manifest, tier.name)
    evidence = read_evidence(BUNDLE, manifest)
    assert len(evidence.labels) >= 500


def test_it_is_at_most_40_megabytes() -> None:
    size = sum(path.stat().st_size for path in BUNDLE.rglob("*") if path.is_file())
    assert size <= 40 * MEGABYTE


def test_the_small_tier_takes_at_most_a_twentieth_of_the_compute() -> None:
    small, *_, full = read_manifest(BUNDLE).exit_costs
    tokens = np.arange(4, 129)
    assert (small.flops.at(tokens) <= full.flops.at(tokens) / 20).all()


def test_its_dial_reaches_the_default_objective() -> None:
    frontier = Frontier(read_evidence(BUNDLE, read_manifest(BUNDLE)), Measure.MAX_PROB)
    forecast = frontier.at_cost(1 / 5).forecast
    assert forecast.speedup >= 5
    assert forecast.accuracy >= forecast.full_depth_accuracy - 0.01


@pytest.mark.parametrize("tier", ["small", "large"])
def test_every_exit_reads_plain_sentences_right(tier: str) -> None:
    model = load_tier(BUNDLE, tier)
    encoded = encode(model.tokenizer, [Text(text) for text in PLAIN], model.spec.max_tokens)
    for logits in score(model.network, encoded, tier):
        found = [model.manifest.labels[i] for i in logits.argmax(axis=1)]
        assert found == list(PLAIN.values())


def test_its_card_names_it_and_its_figures_on_unseen_sentences() -> None:
    card = (BUNDLE / "README.md").read_text(encoding="utf-8")
    metrics = json.loads((BUNDLE / "metrics.json").read_text(encoding="utf-8"))
    assert read_manifest(BUNDLE).id in card
    assert metrics["SST-2 dev"]["full_accuracy"] >= 0.89
    assert "Apache-2.0" in card
