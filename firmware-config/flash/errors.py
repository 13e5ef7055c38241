"""What stops a flash; the message says what to do."""


class FlashError(Exception):
    """Nothing was written, or what was written must not be used."""
