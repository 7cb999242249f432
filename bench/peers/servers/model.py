"""The full model as a function from texts to label names, for the servers that take a function.

Runs in the peers' own environments and imports nothing of this project.
"""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HUGGING_FACE = "torch-fp32"


def load(folder, how, threads):
    """How: torch-fp32, openvino-fp32 or openvino-int8."""
    about = json.loads((Path(folder) / "peers.json").read_text())
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_tokens"])
    tokenizer.enable_padding(pad_id=about["pad_token_id"])
    run = (_torch if how == HUGGING_FACE else _openvino)(Path(folder), how, threads)

    def classify(texts):
        """Names of the likeliest labels."""
        found = tokenizer.encode_batch_fast(list(texts))
        ids = np.array([encoding.ids for encoding in found])
        mask = np.array([encoding.attention_mask for encoding in found])
        types = np.array([encoding.type_ids for encoding in found])
        logits = run(ids, mask, types if about["type_ids"] else None)
        return [about["labels"][label] for label in logits.argmax(axis=-1)]

    return classify


def _torch(folder, how, threads):
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    model.eval()

    @torch.inference_mode()
    def run(*arrays):
        return model(*(None if a is None else torch.from_numpy(a) for a in arrays)).logits.numpy()

    return run


def _openvino(folder, how, threads):
    import openvino

    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    settings["ENABLE_CPU_PINNING"] = False
    if how.endswith("fp32"):
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino.Core().compile_model(folder / how / "model.xml", "CPU", settings)
    request = compiled.create_infer_request()

    def run(*arrays):
        given = [array for array in arrays if array is not None]
        return request.infer(given, share_inputs=True)[0]

    return run
