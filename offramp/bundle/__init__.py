"""A bundle: the directory with all that was learned for a route.

manifest.json         what is in it, and how each exit is read out; its id is a hash of what decides
                      the answers
evidence.safetensors  logits of every exit on held-out examples, tied to that id
<tier>/               weights, config and tokenizer of each tier
metrics.json          figures of training and calibration
README.md             model card
"""

from offramp.bundle.evidence import EVIDENCE, read_evidence, retie_evidence, write_evidence
from offramp.bundle.manifest import (
    DEFAULT_PRECISION,
    FORMAT,
    MANIFEST,
    PRECISIONS,
    ExitSpec,
    Manifest,
    TierSpec,
    content_id,
    file_hash,
    read_manifest,
    tier_files,
    verify_tier,
    write_manifest,
)

__all__ = [
    "DEFAULT_PRECISION",
    "EVIDENCE",
    "FORMAT",
    "MANIFEST",
    "PRECISIONS",
    "ExitSpec",
    "Manifest",
    "TierSpec",
    "content_id",
    "file_hash",
    "read_evidence",
    "read_manifest",
    "retie_evidence",
    "tier_files",
    "verify_tier",
    "write_evidence",
    "write_manifest",
]
