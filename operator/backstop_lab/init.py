"""The first process inside the namespaces: prepares them, starts the lab, collects dead processes.

When the pipe from the outer process closes, it exits at once. The kernel then ends every other
process of the namespace and drops the scratch file system, so even `kill -9` from outside leaves
nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from backstop_lab.namespace import STOP_REQUEST


def main() -> None:
    """Run as process 1: start the lab as a child and return its exit code."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    control: int = settings["control"]
    os.set_inheritable(control, False)
    lab = os.fork()
    if lab == 0:
        os.close(control)
        os._exit(_run_lab(settings))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_obey, args=(control, lab), daemon=True).start()
    while True:
        finished, status = os.wait()
        if finished == lab:
            os._exit(_exit_code(status))


def _run_lab(settings: dict[str, Any]) -> int:
    lab = importlib.import_module(settings["lab"])  # here: the first process itself stays small
    keep_logs = settings["keep_logs"]
    code: int = lab.run(
        programs={name: Path(path) for name, path in settings["programs"].items()},
        command=settings["command"],
        keep_logs=None if keep_logs is None else Path(keep_logs),
    )
    return code


def _obey(control: int, lab: int) -> None:
    while request := os.read(control, 1):
        if request == STOP_REQUEST:
            os.kill(lab, signal.SIGTERM)
    os._exit(128 + signal.SIGKILL)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
