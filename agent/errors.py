"""Every error that crosses a room's border. The message says what is wrong and what to do."""


class PinholeError(Exception):
    """Base of our own errors; the command line prints its message without a traceback."""


class ConfigError(PinholeError):
    """A settings file is unusable; the message lists every fault as key, value and rule."""


class CameraError(PinholeError):
    """The camera is missing, busy, silent, or refused its settings."""

    def __init__(self, words: str, advice: str = "") -> None:
        """`advice` is what to do, where that is known to be something else than to look at the camera."""
        super().__init__(f"{words}: {advice}" if advice else words)
        self.words, self.advice = words, advice


class ClassifierError(PinholeError):
    """What labels pictures cannot be used, or did not answer in time."""


class ModemError(PinholeError):
    """The modem is absent, silent, or refused what it was asked to do."""


class BrokerError(PinholeError):
    """The broker cannot be reached or refuses us."""


class MessageError(PinholeError):
    """A message from outside was refused.

    `code` is stable and machine-readable: it goes into counters and `reject` messages.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NegotiationError(MessageError):
    """An offer cannot be answered: no H.264, no video, malformed SDP."""


class PortalError(PinholeError):
    """The portal cannot start, be reached, or refuses us."""


class EnrolmentError(PinholeError):
    """A portal cannot be reached, or does not let this device in."""


class PathError(PinholeError):
    """A name, an address or an ICE server cannot be reached or refuses us."""


class LineError(PinholeError):
    """A serial port is away, held by somebody else, refused its settings, or takes no bytes."""
