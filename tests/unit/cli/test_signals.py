"""A signal cancels the program once, and what hangs is given up."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, sys
from agent.cli.process import serve
from agent.model import tasks

async def program():
    print("up", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("cleaning up", flush=True)
            if {hangs}:
                continue
            raise

if {hangs}:
    tasks.STOP_TIMEOUT_S = 0
serve(program())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("hangs", [False, True])
def test_a_signal_ends_the_program(number, hangs):
    process = subprocess.Popen(
        # Under nohup the tests ignore SIGHUP, and what they start would too.
        ["env", "--default-signal", sys.executable, "-c", PROGRAM.format(hangs=hangs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "up\n"
        os.kill(process.pid, number)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert output == "cleaning up\n"
    assert process.returncode == (1 if hangs else 0)
    assert ("program" in errors) is hangs
