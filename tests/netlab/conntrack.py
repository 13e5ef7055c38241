"""Let the kernel forget every flow that it tracks: `python -m netlab.conntrack`, in a router of the lab.

The message is 20 bytes, so conntrack-tools need not be installed for it.
"""

import os
import socket
import struct

NETLINK_NETFILTER = 12  # linux/netlink.h
NLM_F_REQUEST, NLM_F_ACK = 1, 4
CT_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE; without a filter: all of them


def main() -> None:
    """Send the message and wait for the kernel's word. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        header = struct.pack("=IHHII", 20, CT_DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, 0)
        sock.send(header + struct.pack("=BBH", socket.AF_UNSPEC, 0, 0))
        error: int = struct.unpack_from("=i", sock.recv(4096), 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error))


if __name__ == "__main__":
    main()
