"""mosec around the full model: python mosec_server.py FOLDER HOW WORKERS PORT BATCH."""

import os
import sys

from model import load
from mosec import Server, Worker

SETTINGS = "FULL_MODEL"
# mosec reads the command line by itself, and its workers import this file anew.
if SETTINGS not in os.environ:
    os.environ[SETTINGS] = "\n".join(sys.argv[1:6])
FOLDER, HOW, WORKERS, PORT, BATCH = os.environ[SETTINGS].split("\n")
sys.argv[1:] = ["--address", "127.0.0.1", "--port", PORT, "--timeout", "120000"]
# Milliseconds that a batch which is not full waits.
WAIT = 5


class Classify(Worker):
    """On one thread. Requests and answers are JSON."""

    def __init__(self):
        super().__init__()
        self.classify = load(FOLDER, HOW, 1)

    def forward(self, data):
        """One answer per request of the batch."""
        return [{"label": label} for label in self.classify([item["text"] for item in data])]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classify, num=int(WORKERS), max_batch_size=int(BATCH), max_wait_time=WAIT)
    server.run()
