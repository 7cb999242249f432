"""Stages recorded once per shape and replayed: what small batches need on a GPU.

A stage is some hundred kernels. Launched one by one from Python they take longer to launch than a
small batch takes to compute; a CUDA graph launches them as one. It holds for one shape, so batches
are filled up to the next of a few (`services.backends.shapes`).

Not measured: no GPU was at hand. Tests run all of it on the CPU but the recorder itself.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from services.models.staged import RowStates, StagedNetwork

log = logging.getLogger(__name__)

Outputs: TypeAlias = tuple[RowStates, Tensor]
# Takes what is to be recorded; gives what runs it again, and the outputs that this writes to.
Recorder: TypeAlias = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]

# Runs before recording, in which libraries choose and set up their kernels.
WARM_UP = 3
# What the inputs and outputs of recordings may fill. Shapes are many (some hundred per stage),
# those that come up day by day are few: beyond it, what was not used for longest is dropped.
MOST_BYTES = 2 * 2**30


class RecordedStages:
    """The stages of a network, each recorded when a shape comes up for the first time.

    Recordings are kept up to MOST_BYTES, and none where memory runs out.
    A network that cannot be recorded (it looks at its numbers while it runs) runs as it is.
    """

    def __init__(self, network: StagedNetwork, record: Recorder) -> None:
        self._network = network
        self._record: Recorder | None = record
        self._recordings: OrderedDict[tuple[int, torch.Size], _Recording] = OrderedDict()
        self._most_bytes = MOST_BYTES

    def run_stage(self, stage: int, rows: RowStates) -> Outputs:
        """As the network's own; what it returns stays as it is."""
        try:
            recording = self._recording(stage, rows)
            if recording is not None:
                return recording(rows)
        except torch.OutOfMemoryError as error:
            log.warning("out of memory: what was recorded is dropped (%s)", error)
            self._recordings.clear()
            torch.cuda.empty_cache()
        return self._network.run_stage(stage, rows)

    def _recording(self, stage: int, rows: RowStates) -> _Recording | None:
        """The recording of a stage for these rows, made where there is none yet."""
        key = (stage, rows.hidden.shape)
        if key not in self._recordings and self._record is not None:
            try:
                self._recordings[key] = _Recording(
                    lambda given: self._network.run_stage(stage, given), rows, self._record
                )
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                log.warning("this network cannot be recorded (%s): its kernels run singly", error)
                self._record = None
            self._forget()
        if key in self._recordings:
            self._recordings.move_to_end(key)
        return self._recordings.get(key)

    def _forget(self) -> None:
        """Drop what was not used for longest, until the newest fit."""
        held = sum(recording.bytes for recording in self._recordings.values())
        while held > self._most_bytes and len(self._recordings) > 1:
            _, oldest = self._recordings.popitem(last=False)
            held -= oldest.bytes


class _Recording:
    """One stage at one shape: its inputs and outputs always lie in the same memory."""

    def __init__(
        self, run: Callable[[RowStates], Outputs], rows: RowStates, record: Recorder
    ) -> None:
        self._given = _copied(rows)
        self._replay, self._found = record(lambda: run(self._given))
        states, logits = self._found
        kept = (*_tensors(self._given), *_tensors(states), logits)
        self.bytes = sum(tensor.nbytes for tensor in kept)

    def __call__(self, rows: RowStates) -> Outputs:
        self._given.hidden.copy_(rows.hidden)
        self._given.attention_mask.copy_(rows.attention_mask)
        self._given.pooled.copy_(rows.pooled)
        self._replay()
        states, logits = self._found
        return _copied(states), logits.clone()


def _tensors(states: RowStates) -> tuple[Tensor, Tensor, Tensor]:
    return states.hidden, states.attention_mask, states.pooled


def _copied(states: RowStates) -> RowStates:
    return RowStates(*(tensor.clone() for tensor in _tensors(states)))


def cuda_recorder() -> Recorder:
    """Records CUDA graphs. All share their memory: one runs at a time, and outputs are copied."""
    memory = torch.cuda.graph_pool_handle()

    def record(run: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=memory):
            found = run()
        return graph.replay, found

    return record


def fitted(states: RowStates, shape: tuple[int, int]) -> RowStates:
    """States of so many rows and tokens: cut, or filled up with zeros.

    Rows that fill up have one token, so that what is averaged over a row stays a number.
    """
    if states.hidden.shape[:2] == shape:
        return states
    mask = _fitted(states.attention_mask, shape)
    mask[len(states.hidden) :, 0] = 1
    return RowStates(_fitted(states.hidden, shape), mask, _fitted(states.pooled, shape[:1]))


def _fitted(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    found = tensor.new_zeros(*shape, *tensor.shape[len(shape) :])
    kept = tuple(slice(min(pair)) for pair in zip(shape, tensor.shape, strict=False))
    found[kept] = tensor[kept]
    return found
