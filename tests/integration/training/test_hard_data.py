"""Data as it comes: many labels with few examples each, few noisy examples, rare labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from offramp.bundle import read_evidence, read_manifest
from tests.support import tiny
from training import train
from training.settings import LargeSettings, SmallSettings

CLASSES, EACH = 150, 10
TELLING = {
    "0": ("dull", "flat", "weak", "slow", "poor"),
    "1": ("fine", "warm", "deft", "keen", "good"),
}
FILLER = ("please", "could", "you", "now", "tell", "show", "give", "help", "me", "the", "my", "a")


def intents() -> list[tuple[str, str]]:
    """150 labels of 10 texts each: two words that say the intent, among words that say nothing."""
    rng = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = rng.permutation([x + y for x in syllables for y in syllables])[: 2 * CLASSES]
    rows = []
    for number in range(CLASSES):
        for _ in range(EACH):
            telling = [*words[2 * number : 2 * number + 2], *rng.choice(FILLER, 4)]
            rows.append((f"intent {number:03d}", " ".join(rng.permutation(telling))))
    return rows


def reviews(count: int) -> list[tuple[str, str]]:
    """The first reviews, each with its label."""
    lines = tiny.REVIEWS.read_text().splitlines()[1 : count + 1]
    rows = [line.split("\t") for line in lines]
    return [(label, text) for label, text in rows]


def mislabelled(count: int, wrong: float) -> list[tuple[str, str]]:
    """Three words that say the label among words that say nothing, a share of the labels wrong."""
    rng = np.random.default_rng(0)
    rows = []
    for label in rng.choice(list(TELLING), count):
        words = rng.permutation([*rng.choice(TELLING[label], 3), *rng.choice(FILLER, 3)])
        rows.append((str(int(label) ^ int(rng.random() < wrong)), " ".join(words)))
    return rows


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{a}\t{b}\n" for a, b in [("label", "text"), *rows]))
    return path


def run(tmp_path: Path, rows: list[tuple[str, str]], epochs: int, **changes: object) -> Path:
    backbone = tiny.make_backbone(tmp_path / "backbone", [text for _, text in rows])
    large = LargeSettings(
        backbone=str(backbone),
        exits=(1, 3),
        epochs=epochs,
        learning_rate=3e-3,
        head_learning_rate=1e-2,
        average=0.98,
    )
    settings = tiny.settings(
        tmp_path / "out",
        backbone,
        data=write(tmp_path / "d.tsv", rows),
        rename={},
        hold_out=None,
        large=large,
        small=SmallSettings(
            kind="static", epochs=4, least_steps=1, augment=2, embedding=16, width=16
        ),
        **changes,
    )
    return train.run(settings)


def accuracies(bundle: Path) -> dict[str, float]:
    found = json.loads((bundle / "metrics.json").read_text())["evidence"]
    return {exit_figures["name"]: exit_figures["accuracy"] for exit_figures in found["exits"]}


def test_150_labels_of_few_examples_are_learned_and_calibrated(tmp_path: Path) -> None:
    bundle = run(tmp_path, intents(), epochs=9)
    manifest = read_manifest(bundle)
    evidence = read_evidence(bundle, manifest)
    assert manifest.labels == tuple(f"intent {number:03d}" for number in range(CLASSES))
    assert len(set(evidence.labels.tolist())) > 0.6 * CLASSES
    assert accuracies(bundle)["large@3"] > 0.8
    assert accuracies(bundle)["large@1"] > 0.5


def test_300_noisy_examples_give_a_cascade_that_is_not_too_sure(tmp_path: Path) -> None:
    bundle = run(tmp_path, mislabelled(300, wrong=0.15), epochs=8)
    evidence = read_evidence(bundle, read_manifest(bundle))
    assert accuracies(bundle)["large@3"] > 0.65
    assert accuracies(bundle)["small"] > 0.65
    surest = evidence.probabilities()[-1].max(axis=-1)
    right = evidence.correct()[-1].mean()
    assert surest.mean() < right + 0.1, "with a sixth of the labels wrong nobody can be sure"


def test_a_rare_label_is_answered_more_often_where_it_weighs_more(tmp_path: Path) -> None:
    rows = reviews(900)
    rare = [row for row in rows if row[0] == "0"][:70]
    data = [row for row in rows if row[0] == "1"] + rare
    answered = {}
    for balance in ("none", "weights"):
        folder = tmp_path / balance
        folder.mkdir()
        bundle = run(folder, data, epochs=3, balance=balance)
        evidence = read_evidence(bundle, read_manifest(bundle))
        answered[balance] = (evidence.logits[-1].argmax(axis=-1) == 0).sum()
    assert answered["weights"] > answered["none"]
