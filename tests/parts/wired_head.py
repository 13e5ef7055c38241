"""A simulated head on a pseudo terminal, which hears what is written at once and answers; in a thread."""

import select
import threading
import time

from parts.terminal import Terminal

PATIENCE_S = 30.0


class WiredHead:
    """`head` is at the other end of the port `link` for as long as this is entered."""

    def __init__(self, head, link):
        self.terminal, self.head = Terminal(link), head
        self._ends, self._plugging = threading.Event(), threading.Lock()
        self._silent = 0
        """So many looks since it heard something."""
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()
        self.terminal.unplug()

    @property
    def frames(self):
        """What the head heard whole."""
        return [frame for _, frame in self.head.frames]

    def unplug(self):
        with self._plugging:
            self.terminal.unplug()

    def replug(self):
        """As another port under the same name; how many frames came by the old one."""
        with self._plugging:
            self.terminal.unplug()
            self.terminal.plug()
            return len(self.frames)

    def until(self, condition, why):
        ends_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < ends_s, why
            time.sleep(0.01)

    def until_moving(self):
        self.until(lambda: self.head.is_moving, "it does not move")

    def until_still(self):
        self.until(lambda: not self.head.is_moving, "it runs on")

    def until_heard(self):
        """All that was written, by whoever writes no more."""
        with self._plugging:
            self._silent = 0
        self.until(lambda: self._silent >= 3, "it is written to, still")

    def _serve(self):
        while not self._ends.is_set():
            with self._plugging:
                if self.terminal.device >= 0:
                    self._listen()
            time.sleep(0.002)

    def _listen(self):
        select.select([self.terminal.device], [], [], 0.005)
        now_s = time.monotonic()
        heard = self.terminal.heard()
        if said := self.head.feed(heard, now_s) + self.head.due(now_s):
            self.terminal.say(said)
        self._silent = 0 if heard else self._silent + 1
