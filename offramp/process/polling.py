"""How gRPC waits for sockets: set before grpc is imported, for it looks only once."""

from __future__ import annotations

import os

EXPERIMENTS = "GRPC_EXPERIMENTS"
# gRPC's EventEngine hands what it reads from thread to thread before Python sees it: without it a
# call, or a message of a stream, costs about a fifth less processor time.
WITHOUT_EVENT_ENGINE = "-event_engine_client,-event_engine_listener"


def poll_in_place() -> None:
    """Have gRPC read sockets on the thread that serves them; what the environment asks for goes
    before.
    """
    os.environ.setdefault(EXPERIMENTS, WITHOUT_EVENT_ENGINE)
