"""The thread of a camera that paces or reads its own pictures."""

import logging
import threading
from collections.abc import Callable

from agent.errors import CameraError, PinholeError

log = logging.getLogger(__name__)

JOIN_S = 2.5
"""Below the 3 s that `Camera.stop` may take."""


class Worker:
    """Runs `body(stopping)` in a thread of its own until it returns, raises, or `stop` is called."""

    def __init__(
        self,
        name: str,
        body: Callable[[threading.Event], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._stopping = threading.Event()
        self._body = body
        self._on_failure = on_failure
        # A daemon: a read that hangs in a driver must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Wait for the thread to end. Raises CameraError after `JOIN_S`: then it hangs in its driver."""
        self._stopping.set()
        if self._thread is threading.current_thread() or not self._thread.ident:
            return
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            raise CameraError(f"{self._thread.name} hangs and is left behind")

    def _run(self) -> None:
        try:
            self._body(self._stopping)
            failure: Exception = CameraError("the camera ended")
        except PinholeError as exc:
            failure = exc
        except Exception as exc:
            log.exception("fault in %s", self._thread.name)
            failure = exc
        if not self._stopping.is_set():
            self._on_failure(failure)
