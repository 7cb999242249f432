"""The command as a whole: version, help, errors as sentences."""

from __future__ import annotations

import subprocess
import sys

import pytest

from offramp import __version__

VERBS = (
    ("up",),
    ("classify",),
    ("train",),
    ("calibrate",),
    ("evaluate",),
    ("report",),
    ("policy",),
    ("policy", "show"),
    ("policy", "set"),
    ("policy", "check"),
    ("config",),
    ("config", "check"),
)


def test_the_version_is_the_packages(offramp):
    done = offramp("--version")
    assert done.exit_code == 0
    assert done.stdout == f"offramp {__version__}\n"


@pytest.mark.parametrize("verb", [(), *VERBS], ids=" ".join)
def test_every_help_gives_an_example(offramp, verb):
    done = offramp(*verb, "--help")
    assert done.exit_code == 0
    assert "Example" in done.stdout
    assert "offramp " in done.stdout


def test_no_argument_shows_the_verbs(offramp):
    done = offramp()
    for verb in VERBS:
        assert verb[0] in done.stdout


def test_help_loads_nothing_that_a_verb_needs():
    script = (
        "import cli.app, sys;"
        "print(sorted({'grpc','numpy','torch','pydantic','yaml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_an_error_is_one_sentence_without_a_trace(offramp, tmp_path):
    done = offramp("policy", "check", "--bundle", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: no bundle at")
    assert "offramp train" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_where_an_error_came_from(offramp, tmp_path):
    done = offramp("--debug", "policy", "check", "--bundle", tmp_path)
    assert done.exit_code == 1
    assert type(done.exception).__name__ == "BundleError"


def test_a_wrong_command_line_is_exit_code_2(offramp):
    assert offramp("classify", "--no-such-option").exit_code == 2
    assert offramp("no-such-verb").exit_code == 2


def test_no_router_is_a_sentence_that_names_up(offramp):
    done = offramp("classify", "--address", "127.0.0.1:1", "a text")
    assert done.exit_code == 1
    assert "no router answers at 127.0.0.1:1" in done.stderr
    assert "`offramp up`" in done.stderr
    assert done.stderr.count("\n") == 1
