"""Which pictures of a steady rate are encoded. Pure."""

from agent.model.media import EncoderDemand


class PictureGate:
    """Lets an even share of the pictures through, and none while nobody watches or they are held."""

    def __init__(self, demand: EncoderDemand, share: float = 1.0) -> None:
        """`share` of all pictures are the stream's full frame rate."""
        self._full_share = share
        self.is_active = False
        """Somebody wants pictures."""
        self._is_open = False
        self._share = self._credit = 0.0
        self.apply(demand)

    def apply(self, demand: EncoderDemand) -> None:
        """From the next picture on; what was paused or held goes on with the very next one."""
        self._share = self._full_share * demand.fps_share
        self.is_active = demand.is_active
        is_open = demand.is_active and not demand.is_held
        if is_open and not self._is_open:
            self._credit = 1.0 - self._share
        self._is_open = is_open

    def take(self) -> bool:
        """Whether to encode this picture."""
        if not self._is_open:
            return False
        self._credit += self._share
        if self._credit < 1.0 - 1e-9:  # a third, three times, is not quite one
            return False
        self._credit -= 1.0
        return True
