"""What waits to be published: bounded, never blocks, loses the oldest first and says so. No clock inside."""

from collections import OrderedDict, deque
from collections.abc import Collection

from agent.model.publication import Publication

MAX_QUEUED = 256
"""Publications kept while the broker is away: at 64 KiB each at most 16 MiB."""
MAX_STRIKES = 3
"""A message on which, alone under way, the broker hung up so often is given up."""


class Outbox:
    """Retained publications first, newest value only; then the others in order.

    What was taken is kept until it is confirmed, so that a lost connection loses no QoS 1 message.
    """

    def __init__(self, max_queued: int = MAX_QUEUED) -> None:
        self._max_queued = max_queued
        self._retained: OrderedDict[str, Publication] = OrderedDict()
        self._queue: deque[Publication] = deque()
        self._taken: dict[int, Publication] = {}
        self._suspect: Publication | None = None
        self._strikes = 0
        self.is_careful = False
        """One at a time, please: the broker hung up on several, and it is to show on which."""
        self.dropped = 0
        """Publications lost: pushed out by newer ones, expired while they waited, or refused."""

    def __len__(self) -> int:
        return len(self._retained) + len(self._queue) + len(self._taken)

    def put(self, publication: Publication, now_s: float) -> bool:
        """Queue it. False where one was dropped to make room; the oldest that is not retained goes."""
        if publication.retain:
            self._retained.pop(publication.topic, None)
        kept_all = self._make_room(now_s)
        if publication.retain:
            self._retained[publication.topic] = publication
        else:
            self._queue.append(publication)
        return kept_all

    def take(self, now_s: float) -> Publication | None:
        """The next to publish, or None. `confirm` it, or `restore` all."""
        self._drop_expired(now_s)
        if self._retained:
            _, publication = self._retained.popitem(last=False)
        elif self._queue:
            publication = self._queue.popleft()
        else:
            return None
        self._taken[id(publication)] = publication
        return publication

    @property
    def under_way(self) -> int:
        """How many were taken, and are not confirmed."""
        return len(self._taken)

    def confirm(self, publication: Publication) -> None:
        """The broker has it."""
        self._taken.pop(id(publication), None)
        self.is_careful = self.is_careful and len(self) > 0
        if self._is_suspect(publication):
            self._suspect = None

    def blame(self) -> Publication | None:
        """The broker hung up on what was taken. Say which publication to give up, where that is clear by now.

        Call it before `restore`; without it a message that no broker takes would be sent for ever.
        """
        if len(self._taken) != 1:
            self.is_careful = bool(self._taken)
            return None
        (suspect,) = self._taken.values()
        self._strikes = self._strikes + 1 if self._is_suspect(suspect) else 1
        self._suspect = suspect
        if self._strikes < MAX_STRIKES:
            return None
        del self._taken[id(suspect)]
        self.dropped += 1
        return suspect

    def _is_suspect(self, publication: Publication) -> bool:
        """Whether it is the one that the broker hung up on; a retained one may be made anew in between."""
        if (known := self._suspect) is None:
            return False
        return publication is known or (publication.retain and publication.topic == known.topic)

    def drop(self, publication: Publication) -> None:
        """The broker will never take it."""
        self.confirm(publication)
        self.dropped += 1

    def holds(self, publication: Publication) -> bool:
        """Whether it waits, or is on its way unconfirmed."""
        return publication in self._queue or id(publication) in self._taken

    def waits_on(self, topics: Collection[str]) -> bool:
        """Whether something on one of these topics, to be retained, was not confirmed yet."""
        taken = (publication.topic for publication in self._taken.values() if publication.retain)
        return not {*self._retained, *taken}.isdisjoint(topics)

    def restore(self) -> None:
        """The connection is gone: what was not confirmed is first in line again, in its order."""
        taken, self._taken = list(self._taken.values()), {}
        for publication in reversed(taken):
            if not publication.retain:
                self._queue.appendleft(publication)
            elif publication.topic not in self._retained:
                self._retained[publication.topic] = publication
                self._retained.move_to_end(publication.topic, last=False)

    def _make_room(self, now_s: float) -> bool:
        if len(self) < self._max_queued:
            return True
        self._drop_expired(now_s)
        if len(self) < self._max_queued:
            return True
        self.dropped += 1
        if self._queue:
            self._queue.popleft()
        elif self._retained:
            self._retained.popitem(last=False)
        return False

    def _drop_expired(self, now_s: float) -> None:
        live = [p for p in self._queue if p.expires_s is None or p.expires_s > now_s]
        if len(live) < len(self._queue):
            self.dropped += len(self._queue) - len(live)
            self._queue = deque(live)
