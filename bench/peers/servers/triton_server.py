"""Triton around the full model: python triton_server.py FOLDER HOW WORKERS PORT BATCH."""

import sys

import numpy as np
from model import load
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

# Microseconds that a batch which is not full waits.
WAIT = 5000


class Worker:
    """On one thread, in a process of its own, where its first batch loads the model."""

    def __init__(self, folder, how):
        self.wanted = folder, how
        self.classify = None

    @batch
    def infer(self, text):
        """Texts (B, 1) to label names (B, 1)."""
        if self.classify is None:
            self.classify = load(*self.wanted, 1)
        labels = self.classify([row[0].decode() for row in text])
        return {"label": np.array([[label.encode()] for label in labels])}


def main(folder, how, workers, port, rows):
    """Serve until told to stop; HTTP at `port`, gRPC and metrics at the two behind it."""
    first = int(port)
    config = TritonConfig(http_port=first, grpc_port=first + 1, metrics_port=first + 2)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="full",
            infer_func=[Worker(folder, how).infer for _ in range(int(workers))],
            inputs=[Tensor(name="text", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="label", dtype=bytes, shape=(1,))],
            config=ModelConfig(
                max_batch_size=int(rows),
                batcher=DynamicBatcher(max_queue_delay_microseconds=WAIT),
            ),
        )
        triton.serve()


if __name__ == "__main__":
    main(*sys.argv[1:6])
