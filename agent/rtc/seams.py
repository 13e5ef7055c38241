"""Every private name of aioice, aiortc and pylibsrtp that this room touches, checked at import.

These libraries are pinned to exact versions. A name that is gone stops the program here, with its name,
and not in the middle of a stream.
"""

from importlib.metadata import version

import aioice.candidate
import aioice.ice
import aioice.turn
import aiortc.rtcdtlstransport
import aiortc.rtcsctptransport
import pylibsrtp

PINNED = {"aioice": "0.13.0", "aiortc": "1.16.0", "pylibsrtp": "1.0.0"}

_CLASS_NAMES: dict[type, tuple[str, ...]] = {
    # agent/rtc/ice.py overrides or calls these
    aioice.ice.Connection: (
        "_find_pair",
        "_pair_remote_candidate",
        "build_request",
        "check_complete",
        "check_incoming",
        "check_start",
        "query_consent",
        "sort_check_list",
    ),
    # agent/rtc/sockets.py
    aioice.ice.StunProtocol: ("datagram_received", "request", "send_data"),
    # agent/rtc/relay.py
    aioice.turn.TurnClientUdpProtocol: ("_send", "channel_bind", "connect", "delete", "request"),
    aioice.turn.TurnClientTcpProtocol: ("_send", "_padded", "channel_bind", "connect", "delete", "request"),
    # agent/rtc/transport.py
    aiortc.rtcdtlstransport.RTCDtlsTransport: (
        "_recv_next",
        "_send_rtp",
        "_set_role",
    ),
    # agent/rtc/sctp.py
    aiortc.rtcsctptransport.RTCSctpTransport: ("_data_channel_send", "_handle_data"),
}

# Attributes that only exist on an instance: the constructor must still name them.
_INSTANCE_NAMES: dict[type, tuple[str, ...]] = {
    aioice.ice.Connection: (
        "_check_list",
        "_closing",
        "_local_candidates",
        "_local_candidates_end",
        "_local_candidates_start",
        "_nominated",
        "_protocols",
        "_query_consent_task",
        "_queue",
        "_remote_candidates",
    ),
    aioice.candidate.Candidate: ("_network_host",),
    aioice.turn.TurnClientMixin: (
        "channel_number",
        "channel_to_peer",
        "mapped_address",
        "peer_to_channel",
        "peer_to_failed_channel",
        "receiver",
        "refresh_task",
        "relayed_address",
    ),
    aiortc.rtcdtlstransport.RTCDtlsTransport: (
        "_data_receiver",
        "_rx_srtp",
        "_srtp_profiles",
        "_ssl",
        "_tx_srtp",
    ),
    aiortc.rtcsctptransport.RTCSctpTransport: (
        "_data_channel_queue",
        "_inbound_streams",
        "_inbound_streams_max",
        "_last_received_tsn",
    ),
    aiortc.rtcsctptransport.InboundStream: ("reassembly",),
    pylibsrtp.Session: ("_srtp",),
}


def missing() -> list[str]:
    """What is not as this room needs it, in words; empty when all is well."""
    faults = [
        f"{name} {found} is installed, but agent/rtc is written for {pinned} exactly"
        for name, pinned in PINNED.items()
        if (found := version(name)) != pinned
    ]
    for owner, names in _CLASS_NAMES.items():
        faults += [f"{owner.__qualname__} has lost {name}" for name in names if not hasattr(owner, name)]
    for owner, names in _INSTANCE_NAMES.items():
        named = owner.__init__.__code__.co_names  # type: ignore[misc]  # reading its source takes 0.1 s
        faults += [f"{owner.__qualname__} no longer sets {name}" for name in names if name not in named]
    return faults


if _faults := missing():
    raise ImportError("; ".join(_faults))
