"""The model card of a bundle: what it was made from, what it does, what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from offramp.bundle import DEFAULT_PRECISION, Manifest, TierSpec
from offramp.decision.confidence import Measure
from training import provenance
from training.figures import METRICS

CARD = "README.md"


def render(directory: Path, manifest: Manifest) -> None:
    """Write the card from training.json and metrics.json.

    Raises BundleError as `provenance.read`.
    """
    record = provenance.read(directory)
    metrics = json.loads((directory / METRICS).read_text(encoding="utf-8"))
    parts = [_head(directory, manifest, record)]
    parts += [_figures(name, found) for name, found in reversed(metrics.items())]
    parts.append(_limits(manifest, record))
    (directory / CARD).write_text("\n".join(parts), encoding="utf-8")


def _head(directory: Path, manifest: Manifest, record: Mapping[str, Any]) -> str:
    tiers = "\n".join(
        f"- `{tier.name}` ({tier.kind}): exits " + ", ".join(_exits(tier))
        for tier in manifest.tiers
    )
    size = sum(_folder_size(directory / tier.name) for tier in manifest.tiers) / 1e6
    note = f" {record['data_note']}" if record["data_note"] else ""
    return f"""# {manifest.name}

An Offramp bundle: {"pairs of texts" if manifest.pairs else "texts"} in, one of
{len(manifest.labels)} labels out ({", ".join(f"`{label}`" for label in manifest.labels)}).

- id: `{manifest.id}`, made {manifest.created}
  by `offramp train` in {record["seconds"] / 60:.0f} minutes
- data: `{record["data"]}`, {record["training_texts"]:,} texts to train on and
  {record["held_out_texts"]:,} held out{_held_out_from(record)} for readouts and evidence;
  {_unseen(record)}.{note}
{_taken(record)}{_calibrated_on(record)}{_backbone(record)}
- weights: {size:.1f} MB, {_stored(record)}; every figure below was taken from the
  models as stored

{tiers}
"""


_PRECISIONS = {
    "int8": "matrices as 8-bit integers with one fp32 scale per row, the rest fp16",
    "fp16": "fp16",
    "fp32": "fp32",
}


def _stored(record: Mapping[str, Any]) -> str:
    """How the weights are stored; a large tier that was taken may be in another precision."""
    small, taken = record["precision"], record.get("large_tier") or {}
    large = taken.get("precision", small)
    if small == large:
        return _PRECISIONS[small]
    return (
        f"those of the small tier {_PRECISIONS[small]}; those of the large one {_PRECISIONS[large]}"
    )


def _held_out_from(record: Mapping[str, Any]) -> str:
    """The file of the held-out texts, where they are not a part of the data."""
    return f", of `{record['validation']}`," if record.get("validation") else ""


def _unseen(record: Mapping[str, Any]) -> str:
    """What is known of whether held-out texts were trained on."""
    taken = record.get("large_tier")
    large_is_known = taken is None or taken.get("held_out_id") == record["held_out_id"]
    small_is_known = _classifier(record) is None
    if small_is_known and large_is_known:
        return "no held-out text, and no fragment of one, was trained on"
    if not small_is_known and not large_is_known:
        return "what both tiers, taken as they are, learned from was not compared with them"
    known, other = ("small", "large") if small_is_known else ("large", "small")
    return (
        f"the {known} tier learned from none of them, nor from a fragment of one; "
        f"what the {other}\n  one, taken as it is, learned from was not compared with them"
    )


def _classifier(record: Mapping[str, Any]) -> str | None:
    """The classifier that was taken as small tier."""
    name: str | None = record["small"]["classifier"]
    return name


def _backbone(record: Mapping[str, Any]) -> str:
    return f"- backbone: {record['backbone']}, licence {record['backbone_licence']}"


def _taken(record: Mapping[str, Any]) -> str:
    """Lines on where the tiers and more texts came from, where that is not this run."""
    lines = ""
    if record.get("unlabelled"):
        lines += f"- texts without labels to learn from: `{record['unlabelled']}`\n"
    if taken := record.get("large_tier"):
        lines += (
            f"- large tier: as bundle `{taken['name']}` has it, id `{taken['id']}`, made "
            f"{taken['made']}; the time above is that of all but its training\n"
        )
    if classifier := _classifier(record):
        lines += f"- small tier: the classifier `{classifier}`, as it is\n"
    return lines


def _calibrated_on(record: Mapping[str, Any]) -> str:
    """A line on what `offramp calibrate` was given last, where it was."""
    if "calibrated_on" not in record:
        return ""
    return (
        f"- calibrated anew on {record['calibrated_texts']:,} texts of "
        f"`{record['calibrated_on']}`, which replace those held out; nobody compared them with the "
        "texts trained on\n"
    )


def _exits(tier: TierSpec) -> Iterator[str]:
    """Each exit with how it is read out."""
    for spec, readout in zip(tier.exits, tier.readouts_in(DEFAULT_PRECISION), strict=True):
        how = readout.calibrator.kind.replace("_", " ")
        yield f"`{spec.name}` ({how}{', mixed with the exits before' if readout.mix else ''})"


def _folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _figures(name: str, found: Mapping[str, Any]) -> str:
    exits = "\n".join(
        f"| `{e['name']}` | {e['accuracy']:.4f} | {e['ece']:.4f} | {e['auroc']:.4f} "
        f"| {e['aurc']:.4f} | {e['relative_cost']:.4f} |"
        for e in found["exits"]
    )
    dial = "\n".join(
        f"| {p['setting']:g} | {p['accuracy']:.4f} | {p['speedup_flops']:.2f} "
        f"| {p['escalation_rate']:.3f} |"
        for p in found["dial"]
    )
    return f"""## Figures on {name} ({found["examples"]:,} texts)

Each exit answering everything (ECE: 15 bins; AUROC: how often a right answer is
surer than a wrong one; AURC: area under the risk-coverage curve; cost relative to the large tier at
full depth):

| exit | accuracy | ECE | AUROC | AURC | cost |
|---|---|---|---|---|---|
{exits}

The cascade, along the dial `objective: {{speedup: S}}` (thresholds from the bundle's evidence,
confidence `{Measure.MAX_PROB}`, speedup in FLOPs):

| S | accuracy | speedup | escalated |
|---|---|---|---|
{dial}
"""


def _limits(manifest: Manifest, record: Mapping[str, Any]) -> str:
    longest = max(tier.max_tokens for tier in manifest.tiers)
    calibrated = record.get("calibrated_texts", record["held_out_texts"])
    return f"""## Limits

- It knows the language and kind of text it was trained on; confidence is calibrated for texts like
  the held-out ones and means less for others.
- Texts longer than {longest} tokens are cut, and the answer says so.
- Thresholds solved from {calibrated:,} texts carry their sampling error; they are estimates, not
  guarantees.
- {_terms(record)}
"""


def _terms(record: Mapping[str, Any]) -> str:
    """Where the weights come from, whose terms apply."""
    source = f"{record['backbone']} ({record['backbone_licence']})"
    if classifier := _classifier(record):
        return (
            f"The weights of the large tier come from {source} and from the training\n"
            f"  data above, those of the small one from `{classifier}`; the terms of all of them\n"
            "  apply."
        )
    return (
        f"The weights come from {source} and from the training\n"
        "  data above; both sets of terms apply."
    )
