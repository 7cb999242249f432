"""Recipes: which weights each loss reaches, what the losses are, and that each of them learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertModel

from services.models.multi_exit import MultiExitClassifier, MultiExitConfig
from tests.support.tiny import make_backbone
from training import large
from training.batches import encode
from training.data import LabelledTexts, Text
from training.parameters import groups
from training.recipes import RECIPES, RecipeError, frozen, joint, sweet, taught
from training.recipes.phase import depth_weights
from training.settings import LargeSettings, TrainSettings

EXITS = (1, 3, 4)
BATCH, LABELS = 5, 3


@pytest.fixture
def network() -> MultiExitClassifier:
    """Four layers, exits at 1, 3 and 4, without dropout: losses can be compared."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    return MultiExitClassifier(encoder, MultiExitConfig(EXITS, LABELS, dropout=0.0))


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, None]:
    ids = torch.randint(5, 50, (BATCH, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, 6:] = 0
    return ids, mask, None


@pytest.fixture
def aims() -> torch.Tensor:
    return torch.eye(LABELS)[torch.tensor([0, 1, 2, 0, 1])]


def reached(network: MultiExitClassifier) -> dict[str, float]:
    """Size of the gradient that came to the embeddings, each layer (from 1) and each head."""
    parts = {"embeddings": network.encoder.get_submodule("embeddings")}
    layers = network.family.layers(network.encoder)
    parts |= {f"layer {i}": layer for i, layer in enumerate(layers, start=1)}
    parts |= {f"head {i}": m for i, m in enumerate(network.heads)}
    sizes: dict[str, float] = {}
    for name, part in parts.items():
        grads = [p.grad for p in part.parameters() if p.grad is not None]
        sizes[name] = float(torch.stack([grad.abs().sum() for grad in grads]).sum()) if grads else 0
    return sizes


def touched(network: MultiExitClassifier) -> set[str]:
    return {name for name, size in reached(network).items() if size > 0}


EVERYTHING = {"embeddings", *(f"layer {i}" for i in range(1, 5)), *(f"head {i}" for i in range(3))}


def test_joint_and_taught_reach_every_layer(network, inputs, aims) -> None:
    for loss in (joint.loss, taught.together(0.5)):
        network.zero_grad()
        loss(network, inputs, aims).backward()
        assert touched(network) == EVERYTHING


@pytest.mark.parametrize(
    ("exit_index", "own"),
    [
        (0, {"embeddings", "layer 1", "head 0"}),
        (1, {"layer 2", "layer 3", "head 1"}),
        (2, {"layer 4", "head 2"}),
    ],
)
def test_sweet_gives_an_exit_only_the_layers_since_the_exit_before(
    network, inputs, aims, exit_index, own
) -> None:
    logits = sweet.separated(network, inputs)
    functional.cross_entropy(logits[exit_index], aims).backward()
    assert touched(network) == own


def test_sweet_separates_gradients_but_not_answers(network, inputs, aims) -> None:
    logits = network(*inputs)
    torch.testing.assert_close(sweet.separated(network, inputs), logits)
    # Below its border the mix still counts: the weights of the mix itself learn, all of them.
    sweet.loss(network, inputs, aims).backward()
    assert all((head.get_parameter("mix").grad != 0).all() for head in network.heads)
    expected = [functional.cross_entropy(exit_logits, aims) for exit_logits in logits]
    torch.testing.assert_close(sweet.loss(network, inputs, aims), torch.stack(expected).mean())


def test_each_exit_of_sweet_gets_the_gradient_that_it_would_have_alone(
    network, inputs, aims
) -> None:
    sweet.loss(network, inputs, aims).backward()
    together = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    # The last exit alone, on the states below it as constants.
    with torch.no_grad():
        rows = network.embed(*inputs)
        rows, _ = network.run_stage(0, rows)
        rows, _ = network.run_stage(1, rows)
    _, logits = network.run_stage(2, rows)
    (functional.cross_entropy(logits, aims) / len(EXITS)).backward()
    layer = "encoder.encoder.layer.3.attention.self.query.weight"
    alone = dict(network.named_parameters())[layer].grad
    assert alone is not None
    torch.testing.assert_close(together[layer], alone)


def test_the_backbone_phase_is_fine_tuning_of_the_last_exit(network, inputs, aims) -> None:
    found = frozen.last_exit(network, inputs, aims)
    torch.testing.assert_close(found, functional.cross_entropy(network(*inputs)[-1], aims))
    found.backward()
    assert touched(network) == EVERYTHING - {"head 0", "head 1"}


@pytest.mark.parametrize(
    ("name", "options"), [("frozen", {}), ("taught", {"backbone_first": True})]
)
def test_heads_learn_on_a_backbone_that_stands_still(network, inputs, aims, name, options) -> None:
    heads = network.heads[:-1]
    first, second = RECIPES[name](network, LargeSettings(**options))
    assert first.trained is network
    assert not first.unlabelled
    assert second.unlabelled is (name == "taught")
    network.requires_grad_(False)
    second.trained.requires_grad_(True)
    second.loss(network, inputs, aims).backward()
    assert touched(network) == {"head 0", "head 1"}
    learning = {id(p) for group in groups(network, LargeSettings()) for p in group["params"]}
    assert learning == {id(p) for head in heads for p in head.parameters()}


def test_losses_are_those_of_the_papers(network, inputs, aims) -> None:
    logits = network(*inputs).detach()
    each = [functional.cross_entropy(exit_logits, aims) for exit_logits in logits]
    deeper_more = (each[0] * 1 / 9 + each[1] * 4 / 9 + each[2]) / (14 / 9)
    torch.testing.assert_close(joint.loss(network, inputs, aims).detach(), deeper_more)
    torch.testing.assert_close(taught.together(0.0)(network, inputs, aims).detach(), deeper_more)
    torch.testing.assert_close(
        frozen.earlier_exits(network, inputs, aims).detach(), (each[0] + each[1]) / 2
    )
    teacher = logits[-1].softmax(-1)
    apart = [
        functional.kl_div(exit_logits.log_softmax(-1), teacher, reduction="batchmean")
        for exit_logits in logits[:-1]
    ]
    entropy = -(teacher * teacher.log()).sum(-1).mean()
    torch.testing.assert_close(
        taught.by_answers(network, inputs, aims).detach(), torch.stack(apart).mean() + entropy
    )


def test_the_last_exit_is_not_taught_by_itself_or_by_the_others(network, inputs, aims) -> None:
    taught.together(1.0)(network, inputs, aims).backward()
    found = network.heads[-1].get_parameter("out.weight").grad.clone()
    network.zero_grad()
    (depth_weights(network(*inputs))[-1] * frozen.last_exit(network, inputs, aims)).backward()
    torch.testing.assert_close(found, network.heads[-1].get_parameter("out.weight").grad)


def test_a_text_without_a_label_teaches_the_earlier_exits_alone() -> None:
    answers = torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    # Labelled; labelled, of a class that weighs three; not labelled.
    aims = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, 0.0]])
    expected = torch.tensor([[0.35, 0.65], [1.5 + 0.3, 1.2], [0.6, 0.4]])
    torch.testing.assert_close(taught.taught_aims(aims, answers, teach=0.5), expected)


def test_a_network_with_one_exit_has_no_heads_to_train_after(network) -> None:
    single = network.with_exits((4,))
    for name, phases in RECIPES.items():
        for options in (LargeSettings(), LargeSettings(backbone_first=True)):
            assert len(phases(single, options)) == 1, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "soup"}, "recipe 'soup' is not known; choose one of: joint, sweet, frozen"),
        ({"exits": "some"}, "exits 'some': give layers, or one of: all, auto"),
        ({"exits": "auto", "keep": (0.5,)}, "name the exits as well, or keep auto"),
        ({"exits": (1, 3), "keep": (0.5, 0.5)}, "keep must give 1 shares"),
        ({"exits": (1, 9)}, r"exits must lie in 1\.\.3"),
    ],
)
def test_settings_that_cannot_work_are_told(backbone, changes, message) -> None:
    options = LargeSettings(backbone=backbone, **changes)
    with pytest.raises(RecipeError, match=message):
        large.build(options, ("no", "yes"))


@pytest.mark.parametrize(
    ("exits", "expected"), [("all", (1, 2, 3)), ("auto", (1, 2, 3)), ((2, 3), (2, 3))]
)
def test_exits_are_every_layer_or_those_given(backbone, exits, expected) -> None:
    options = LargeSettings(backbone=backbone, exits=exits)
    network, _ = large.build(options, ("no", "yes"))
    assert network.config.exits == expected


def toy(count: int, seed: int) -> LabelledTexts:
    """Texts that say which label they have, in one word among others."""
    rng = np.random.default_rng(seed)
    words = ("plot", "cast", "noisy", "film", "the", "a")
    labels = rng.integers(0, 2, count)
    texts = tuple(
        Text(" ".join([*rng.choice(words, 4), ("dreadful", "warm")[label], str(number)]))
        for number, label in enumerate(labels)
    )
    return LabelledTexts(texts, np.eye(2, dtype=np.float32)[labels], ("bad", "good"))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> str:
    """One for all: no two tokenizers learned from the same texts are quite alike."""
    return str(make_backbone(tmp_path_factory.mktemp("backbone")))


def toy_settings(backbone: str, bf16=False, **changes) -> TrainSettings:
    options = {"epochs": 6, "learning_rate": 2e-3, "head_learning_rate": 4e-3, "batch_size": 16}
    large_settings = LargeSettings(
        backbone=backbone, exits=(1, 2, 3), average=0.9, **{**options, **changes}
    )
    return TrainSettings(
        "", Path(backbone), "toy", max_tokens=24, device="cpu", bf16=bf16, large=large_settings
    )


def accuracy(network, tokenizer, data) -> np.ndarray:
    encoded = encode(tokenizer, data.texts, 24)
    return (large.score(network, encoded, "test").argmax(-1) == data.labels).mean(axis=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "joint"},
        {"recipe": "sweet"},
        {"recipe": "frozen"},
        {"recipe": "taught"},
        {"recipe": "taught", "backbone_first": True},
        {"recipe": "taught", "keep": (0.6, 0.6)},
        {"recipe": "joint", "keep": "auto"},
        {"recipe": "sweet", "bf16": True, "keep": "auto"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_every_recipe_learns_a_separable_task_at_every_exit(backbone, changes) -> None:
    torch.manual_seed(0)
    settings = toy_settings(backbone, **changes)
    network, tokenizer = large.train(toy(160, seed=0), settings)
    assert accuracy(network, tokenizer, toy(80, seed=1)).min() >= 0.95
    assert not network.training
    assert all(p.requires_grad for p in network.parameters())
    kept = changes.get("keep")
    assert network.config.keep == (None if kept == "auto" else kept)


def test_only_the_taught_recipe_learns_from_texts_without_labels(backbone) -> None:
    def weights(recipe: str, unlabelled) -> torch.Tensor:
        torch.manual_seed(0)
        settings = toy_settings(backbone, recipe=recipe, epochs=1)
        network, _ = large.train(toy(16, seed=0), settings, unlabelled)
        return network.heads[0].get_parameter("out.weight")

    more = toy(16, seed=3).texts
    assert torch.equal(weights("joint", None), weights("joint", more))
    assert not torch.equal(weights("taught", None), weights("taught", more))


def test_a_batch_without_labels_leaves_the_last_head_alone(network, inputs) -> None:
    taught.together(0.5)(network, inputs, torch.zeros(BATCH, LABELS)).backward()
    assert reached(network)["head 2"] == 0.0
    assert {"head 0", "head 1", "layer 1", "layer 3"} <= touched(network)
    assert "layer 4" not in touched(network)


def test_a_run_killed_between_two_phases_ends_with_the_same_weights(backbone, tmp_path) -> None:
    settings = toy_settings(backbone, recipe="frozen", epochs=1, keep="auto")
    settings = replace(settings, checkpoint=tmp_path)

    def trained() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return large.train(toy(48, seed=0), settings)[0].state_dict()

    whole = trained()
    assert {path.name for path in tmp_path.glob("*.pt")} == {"large.pt", "large-heads.pt"}
    (tmp_path / "large-heads.pt").unlink()
    assert all(torch.equal(weight, whole[name]) for name, weight in trained().items())
