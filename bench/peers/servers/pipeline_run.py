"""A Hugging Face pipeline in process: python pipeline_run.py FOLDER BATCH SECONDS TEXTS.

On one thread. TEXTS: a JSON list. Prints what it took as one JSON object.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
from transformers import pipeline


def resident():
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(folder, rows, seconds, texts):
    """Classify the texts, again and again until the time is over; then, untimed, any left over."""
    torch.set_num_threads(1)
    classify = pipeline(
        "text-classification", model=folder, trust_remote_code=True, device=-1, batch_size=int(rows)
    )
    wanted = json.loads(Path(texts).read_text())
    classify(wanted[: int(rows)], truncation=True)
    labels, done = [], 0
    began, processor = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < float(seconds):
        start = done % len(wanted)
        part = wanted[start : start + 8 * int(rows)]
        labels += [answer["label"] for answer in classify(part, truncation=True)]
        done += len(part)
    found = {
        "answered": done,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - processor,
        "memory_bytes": resident(),
    }
    if left := wanted[len(labels) :]:  # the pipeline fails on an empty list
        labels += [answer["label"] for answer in classify(left, truncation=True)]
    found["labels"] = labels[: len(wanted)]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:5])
