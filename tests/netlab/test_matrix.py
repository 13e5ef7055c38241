"""A browser and the agent find each other through NATs; `scripts/netlab` shows the same as a table.

The bytes are counted on the wire at both ends. The cells of the normal run are the telling ones; the rest
is slow.
"""

import pytest
from netlab.matrix import Cell, cells, run_cell
from netlab.nat import NATS
from netlab.servers import TRANSPORTS

pytestmark = pytest.mark.usefixtures("has_parts")

IPV6 = ("dual", "ipv6")
TELLING = [
    Cell("none", "none"),
    Cell("port-restricted", "port-restricted"),
    Cell("port-restricted", "symmetric"),
    Cell("udp-blocked", "udp-blocked", "tls"),
    Cell("port-restricted", "port-restricted", family="ipv6"),
]
WHOLE = [
    *cells(NATS, NATS, [None, *TRANSPORTS], ["ipv4"]),
    *cells(("port-restricted", "symmetric", "udp-blocked"), ("symmetric", "udp-blocked"), [None], IPV6),
]


@pytest.mark.parametrize("cell", TELLING, ids=str)
async def test_they_meet_by_the_path_that_their_nats_allow(cell):
    result = await run_cell(cell)
    assert result.faults() == []
    assert result.fps > 0


@pytest.mark.slow
@pytest.mark.parametrize("cell", [cell for cell in WHOLE if cell not in TELLING], ids=str)
async def test_every_other_pair_meets_too(cell):
    result = await run_cell(cell)
    assert result.faults() == []
