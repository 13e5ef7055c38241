"""What a test starts for minutes ends with the run, also where that was killed and could end nothing."""

import os
import signal
import subprocess
import sys

import pytest
from parts.kept import ENDS_WITH_US, OWN_PROCESSES
from parts.need import need

RUN = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.mark.parametrize("begin", [ENDS_WITH_US, OWN_PROCESSES])
def test_a_killed_run_leaves_no_process(begin):
    need(os.geteuid() == 0 or begin is ENDS_WITH_US, "needs root, for namespaces of its own")
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *begin, "sh", "-c", "echo begun; exec sleep 600"],
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout.readline() == b"begun\n"
        run.send_signal(signal.SIGKILL)
        assert run.stdout.read() == b"", "the pipe's last writer is gone"
