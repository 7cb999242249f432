"""Runs a module that ends when the process that asked for it does, however that ends.

python -m offramp.process.tether PARENT_PID MODULE [ARGUMENT…]
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, prctl(2)
POLL_SECONDS = 0.5


def tie(parent: int) -> None:
    """End this process as soon as `parent` is gone; at once where it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def main() -> None:
    """Tie this process to its parent, then be the module."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    sys.argv[:] = [module, *sys.argv[3:]]
    tie(parent)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
