"""The config file of a tier: where it serves, which bundle, and how its engine runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from offramp.config import ServerSettings, Strict


class EngineSettings(Strict):
    """How the engine runs.

    max_batch: rows that run together at the most; left out, as many as cost least per row, which
        the warm-up measures.
    max_queue: rows that the tier holds; more are refused with RESOURCE_EXHAUSTED.
    threads: CPU threads for the model; 0 means one for a compact student, all cores but one
        otherwise: that is for router and student.
    warmup: measure every stage before serving. Without it Describe reports no seconds.
    device: where the model runs.
    precision: what it computes in; the bundle needs evidence in it (`offramp calibrate`). auto: on
        a CPU int8 or bf16 where that is clearly faster, on a GPU bf16, else fp32.
    backend: torch, openvino, or auto. OpenVINO runs on the CPU, int8 and, of bundles with stages
        for it (`offramp export`), fp32, and bf16 on processors that have it; PyTorch runs fp32 and
        bf16. auto: OpenVINO where it can.
    """

    max_batch: int | None = Field(default=None, ge=1, le=4096)
    max_queue: int = Field(default=4096, ge=1)
    threads: int = Field(default=0, ge=0)
    warmup: bool = True
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    backend: Literal["auto", "torch", "openvino"] = "auto"

    @model_validator(mode="after")
    def _go_together(self) -> EngineSettings:
        if self.precision == "int8" and self.device != "cpu":
            raise ValueError("precision int8 is for device cpu; take bf16 on a GPU")
        if self.precision == "int8" and self.backend == "torch":
            raise ValueError("precision int8 is for backend openvino; leave backend at auto")
        if self.backend == "openvino" and self.device != "cpu":
            raise ValueError("backend openvino is for device cpu; leave backend at auto")
        return self


class TierSettings(Strict):
    """All settings of a tier; fixed for the process's life.

    tier: its name in the bundle; left out, the name of the service (small or large).
    """

    server: ServerSettings
    bundle: Path
    tier: str | None = None
    engine: EngineSettings = EngineSettings()
