"""A simulated head on a pseudo terminal, which hears what is written at once and answers; in a thread."""

import select
import threading
import time
from contextlib import contextmanager

from parts.terminal import Terminal


@contextmanager
def wired(head, link):
    """`head` is at the other end of the port `link`."""
    terminal, ends = Terminal(link), threading.Event()

    def serve():
        while not ends.is_set():
            select.select([terminal.device], [], [], 0.005)
            if answers := head.feed(terminal.heard(), time.monotonic()):
                terminal.say(answers)
            time.sleep(0.002)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield terminal
    finally:
        ends.set()
        thread.join()
        terminal.unplug()
