"""What the README says, done: its Python runs, its commands exist."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.services import running
from router.config import Objective

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = pytest.mark.timeout(300)


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


async def test_the_python_example_runs_against_real_services(exported_bundle: Path) -> None:
    async with running(exported_bundle) as services:
        script = blocks("python")[0].replace("localhost:50051", services.where["router"].address)
        process = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    label, exit_name, speedup = process.stdout.split()
    assert label in ("negative", "positive")
    assert exit_name in ("small", "large@1", "large@2", "large@3")
    assert float(speedup) > 0


def test_every_make_target_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks("console"))))
    assert {"up", "test"} <= named
    assert all(f"\n{target}:" in makefile for target in named)


def test_every_command_named_is_one() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"\bofframp (up|[a-z]+)(?= |`)", text)) & set(
        re.findall(r"(?:`|\$ |^)offramp ([a-z]+)", text, flags=re.MULTILINE)
    )
    assert {"up", "classify", "train", "policy"} <= named
    for command in sorted(named):
        done = subprocess.run(
            [sys.executable, "-m", "cli", command, "--help"],
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, command


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_objective_shown_is_valid() -> None:
    shown = [
        yaml.safe_load(line)["objective"]
        for page in PAGES
        for block in blocks("yaml", page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("objective:")
    ]
    assert len(shown) >= 4
    for objective in shown:
        Objective.model_validate(objective)
