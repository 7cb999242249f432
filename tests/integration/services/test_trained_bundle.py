"""A really trained bundle: what both tiers answer is what their networks say of each text alone."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from services.models.loading import load_tier

REVIEWS = Path(__file__).parents[2] / "data" / "reviews.tsv"


def reviews():
    lines = REVIEWS.read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t")[1] for line in lines][:120]


@torch.inference_mode()
def alone(model, text):
    """Calibrated probabilities (E, C) of one text, by the network's plain forward."""
    encoded = model.tokenizer(
        text, truncation=True, max_length=model.spec.max_tokens, return_tensors="pt"
    )
    logits = model.network(**encoded)[:, 0].numpy()
    readouts = model.spec.readouts_in("fp32")
    histories = (logits[: depth + 1, None] for depth in range(len(logits)))
    pairs = zip(readouts, histories, strict=True)
    return np.concatenate([readout.probabilities(history) for readout, history in pairs])


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_answers_do_not_depend_on_batch_or_order(serve, infer, make_item, tiny_bundle, tier):
    model = load_tier(tiny_bundle, tier)
    texts = reviews()
    found = np.stack([alone(model, text) for text in texts])
    names = [exit_spec.name for exit_spec in model.spec.exits]
    # Between two confidences of each exit, so that no text is within rounding of a threshold.
    ranked = np.sort(found.max(axis=-1), axis=0)
    limits = (ranked[59] + ranked[60]) / 2
    stages = np.where(found[:, :-1].max(axis=-1) >= limits[:-1], 1, 0)
    want = np.array([row.argmax() if row.any() else len(names) - 1 for row in stages])
    thresholds = dict(zip(names[:-1], limits.tolist(), strict=False))
    _, stub = await serve(tier, tiny_bundle, max_batch=16)
    numbers = list(range(len(texts)))
    for order in (numbers, numbers[::-1], random.Random(5).sample(numbers, len(numbers))):
        results = await infer(stub, [make_item(n, texts[n], thresholds) for n in order])
        for number, stage in enumerate(want):
            answer = results[number].answer
            assert answer.exit == names[stage]
            np.testing.assert_allclose(answer.probabilities, found[number, stage], atol=1e-4)
