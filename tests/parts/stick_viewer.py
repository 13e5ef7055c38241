"""`pinhole watch` by somebody who holds a stick to the right: arguments as of that command."""

import asyncio
import json

from agent.cli import main
from agent.client import peer, watch


class Holder(peer.Peer):
    """Says ten times a second how the stick stands."""

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self._stick = self._connection.createDataChannel("ptz", ordered=False, maxRetransmits=0)
        self._holding = asyncio.create_task(self._hold())

    async def _hold(self):
        seq = 0
        while True:
            if self._stick.readyState == "open":
                seq += 1
                self._stick.send(json.dumps({"seq": seq, "pan": 1}))
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    watch.Peer = Holder
    main()
