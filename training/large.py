"""Fine-tuning of the multi-exit model: all exits at once, the earlier ones taught by the last.

The joint loss of *The Right Tool for the Job* (arXiv 2004.07453), with the last exit's answer as a
second teacher of the exits before it (FastBERT, 2004.02178), deeper exits weighing more. A running
mean of the weights is what is kept; from the second epoch on its answers teach beside the labels
(*Mean teachers*, 1703.01780), so that a label read for the second time is not learned by heart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from transformers import PreTrainedTokenizerBase

from services.models.multi_exit import MultiExitClassifier, MultiExitConfig, encoder_layers
from services.models.staged import StagedNetwork
from training import backbone, progress
from training.augment import WordMask
from training.batches import Batch, Encoded, encode, in_order, shuffled
from training.data import LabelledTexts
from training.optimise import Optimiser, autocast
from training.settings import LargeSettings, TrainSettings
from training.split import whole

# The mean takes in the weights every so many steps: as good as every step, and cheaper.
AVERAGE_EVERY = 4
SCORE_BATCH = 64


def build(
    settings: LargeSettings, labels: int
) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """The backbone with fresh heads on the exits asked for."""
    encoder, tokenizer = backbone.load(settings.backbone, settings.dropout)
    exits = settings.exits or backbone.default_exits(len(encoder_layers(encoder)))
    config = MultiExitConfig(exits, labels, dropout=settings.dropout)
    return MultiExitClassifier(encoder, config), tokenizer


def train(
    data: LabelledTexts, settings: TrainSettings
) -> tuple[MultiExitClassifier, PreTrainedTokenizerBase]:
    """Fine-tune on all of `data`; the model comes back in eval mode."""
    options = settings.large
    network, tokenizer = build(options, len(data.label_names))
    encoded = encode(tokenizer, data.texts, settings.max_tokens)
    targets = _weighted(data, options.whole_texts)
    mask = WordMask(tokenizer, options.mask_words, rng := np.random.default_rng(settings.seed))
    steps = options.epochs * math.ceil(len(encoded) / options.batch_size)
    optimiser = Optimiser(_groups(network, options), steps, options.warmup)
    averaged = AveragedModel(network, avg_fn=_running_mean(options.average))
    averaged.module.eval()
    network.train()
    with progress.step("large tier: fine-tuning", steps) as bar:
        for epoch in range(options.epochs):
            for number, batch in enumerate(shuffled(encoded, options.batch_size, rng)):
                aims = targets[batch.rows]
                with autocast(settings.bf16):
                    if epoch > 0:
                        aims = blended(aims, _answers(averaged.module, batch), options.mean_teacher)
                    logits = network(*mask.hide(batch).inputs)
                loss = exit_loss(logits.float(), aims, options.teach)
                optimiser.step(loss)
                if number % AVERAGE_EVERY == 0:
                    averaged.update_parameters(network)
                bar.advance(f"epoch {epoch + 1}/{options.epochs} loss {loss.item():.3f}")
    network.load_state_dict(averaged.module.state_dict())
    return network.eval(), tokenizer


def _weighted(data: LabelledTexts, whole_texts: float) -> Tensor:
    """Label distributions (N, C) times the weight of each text; the weights are 1 on average."""
    weights = np.where(whole(data.texts), whole_texts, 1.0).astype(np.float32)
    return torch.from_numpy(data.targets * (weights / weights.mean())[:, None])


@torch.no_grad()
def _answers(network: nn.Module, batch: Batch) -> Tensor:
    """What the last exit says of the texts as they are (B, C), no word hidden."""
    logits: Tensor = network(*batch.inputs)
    return logits[-1].float().softmax(dim=-1)


def blended(aims: Tensor, answers: Tensor, share: float) -> Tensor:
    """Aims (B, C) with a share of an answer (B, C) in them; each row weighs what it weighed."""
    return (1 - share) * aims + share * aims.sum(dim=-1, keepdim=True) * answers


def _running_mean(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential mean that forgets faster at first, so that a short run is not its start."""

    def update(mean: Tensor, latest: Tensor, count: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(latest, mean, kept)

    return update


def exit_loss(logits: Tensor, aims: Tensor, teach: float) -> Tensor:
    """Loss of logits (E, B, C) against aims (B, C): label distributions times the texts' weights.

    Exit e of E weighs (e / E)^2, so that the earlier ones do not cost the last one its accuracy. An
    exit before the last learns from the aims and, with weight `teach`, from the last exit's answer.
    """
    exits = len(logits)
    logs = logits.log_softmax(dim=-1)
    last = logs[-1].detach().exp()
    weights = (torch.arange(1, exits + 1, device=logits.device) / exits) ** 2
    lessons = [blended(aims, last, teach)] * (exits - 1) + [aims]
    losses = torch.stack([-(a * log).sum(-1).mean() for a, log in zip(lessons, logs, strict=True)])
    return (weights * losses).sum() / weights.sum()


def _groups(network: MultiExitClassifier, options: LargeSettings) -> Iterator[dict[str, object]]:
    """Parameters by learning rate: heads fast, encoder layers slower the deeper down they lie."""
    layers = list(encoder_layers(network.encoder))
    for fresh in (network.heads, network.pools):
        yield from _decayed(fresh, options.head_learning_rate, options.weight_decay)
    in_layers = {id(p) for layer in layers for p in layer.parameters()}
    for height, layer in enumerate(reversed(layers)):
        rate = options.learning_rate * options.layer_decay**height
        yield from _decayed(layer, rate, options.weight_decay)
    rest = [p for p in network.encoder.parameters() if id(p) not in in_layers]
    rate = options.learning_rate * options.layer_decay ** len(layers)
    yield {"params": rest, "lr": rate, "weight_decay": 0.0}


def _decayed(module: torch.nn.Module, rate: float, decay: float) -> Iterator[dict[str, object]]:
    matrices = [p for p in module.parameters() if p.ndim > 1]
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    yield {"params": matrices, "lr": rate, "weight_decay": decay}
    yield {"params": vectors, "lr": rate, "weight_decay": 0.0}


@torch.inference_mode()
def score(
    network: StagedNetwork, encoded: Encoded, title: str, bf16: bool | None = False
) -> np.ndarray:
    """Logits (E, N, C) of every exit, in fp32 unless bf16 is asked for."""
    network.eval()
    batches = math.ceil(len(encoded) / SCORE_BATCH)
    parts, rows = [], []
    with progress.step(title, batches) as bar:
        for batch in in_order(encoded, SCORE_BATCH):
            with autocast(bf16):
                parts.append(network(*batch.inputs).float().numpy())
            rows.append(batch.rows)
            bar.advance()
    logits = np.concatenate(parts, axis=1)
    return logits[:, np.argsort(np.concatenate(rows))]
