"""The benchmark of bare calls, whole: both servers in processes of their own."""

from __future__ import annotations

import json
import sys

from bench.hops import __main__ as hops
from bench.hops.serve import SERVERS


def test_each_server_is_asked_in_each_way_and_spends_time(tmp_path, monkeypatch, capsys):
    arguments = ["--in-flight=1,8", "--rounds=2", "--seconds=0.2", f"--out={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    hops.main()
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = printed["sets"]["hops: bare"]["hops"]
    cases = {(one["way"], one["in_flight"], one["server"]) for one in found}
    assert len(found) == len(cases) == len(hops.WAYS) * 2 * len(SERVERS)
    assert all(len(one["microseconds"]) == 2 and min(one["microseconds"]) > 0 for one in found)
    assert "| call | 8 |" in (tmp_path / "engine.md").read_text(encoding="utf-8")
