"""mosec around the full model: python mosec_server.py FOLDER HOW THREADS PORT BATCH."""

import sys

from model import load
from mosec import Server, Worker

FOLDER, HOW, THREADS, PORT, BATCH = sys.argv[1:6]
# mosec reads the command line by itself.
sys.argv[1:] = ["--address", "127.0.0.1", "--port", PORT]
# Milliseconds that a batch which is not full waits.
WAIT = 5


class Classify(Worker):
    """Requests and answers are JSON."""

    def __init__(self):
        super().__init__()
        self.classify = load(FOLDER, HOW, int(THREADS))

    def forward(self, data):
        """One answer per request of the batch."""
        return [{"label": label} for label in self.classify([item["text"] for item in data])]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classify, num=1, max_batch_size=int(BATCH), max_wait_time=WAIT)
    server.run()
