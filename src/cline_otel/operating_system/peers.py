"""Which user is at the other end of a TCP connection within this machine, where the system tells."""

from __future__ import annotations

import os
import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, NamedTuple


class Endpoint(NamedTuple):
    """One end of a connection: an address without a scope, and a port."""

    address: str
    port: int


class NoPeerError(LookupError):
    """Nobody is at the other end any more, so it cannot be known who was."""


if sys.platform == "linux":
    _SOCK_DIAG: Final = 4
    _BY_FAMILY: Final = 20
    _TCP: Final = 6
    _ESTABLISHED: Final = 1
    _REQUEST: Final = 1
    _HEADER: Final = struct.Struct("=IHHII")
    _WANTED: Final = struct.Struct("=BBBBI")
    _ANY_COOKIE: Final = b"\xff" * 8
    _STATE_AT: Final = _HEADER.size + 1
    _UID_AND_INODE: Final = struct.Struct("=II")
    _UID_AT: Final = _HEADER.size + 4 + 48 + 12
    """sock_diag(7): ``nlmsghdr``, ``inet_diag_req_v2`` and ``inet_diag_msg``."""
    _TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))

    def user_of_peer(peer: Endpoint, here: Endpoint) -> int | None:
        """The user whose process has the other end open; None where the system does not tell.

        The kernel is asked for the one socket, in some microseconds however many there are; where it cannot be asked,
        its tables are read. A socket that its process has closed belongs to user 0 in both, so that one is nobody's.

        Raises:
            NoPeerError: the other end is closed, or not on this machine.
        """
        uid = _by_sock_diag(peer, here)
        return uid if uid is not None else _by_tables(peer, here)

    def _by_sock_diag(peer: Endpoint, here: Endpoint) -> int | None:
        addresses = (ip_address(peer.address), ip_address(here.address))
        family = socket.AF_INET if addresses[0].version == 4 else socket.AF_INET6
        request = (
            _WANTED.pack(family, _TCP, 0, 0, 0xFFFF_FFFF)
            + struct.pack(">HH", peer.port, here.port)
            + b"".join(address.packed.ljust(16, b"\0") for address in addresses)
            + bytes(4)
            + _ANY_COOKIE
        )
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asked:
                asked.settimeout(1)
                asked.sendto(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _REQUEST, 1, 0) + request, (0, 0))
                answer = asked.recv(4096)
        except OSError:
            return None
        if len(answer) < _UID_AT + _UID_AND_INODE.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
            return None
        uid, inode = _UID_AND_INODE.unpack_from(answer, _UID_AT)
        return uid if answer[_STATE_AT] == _ESTABLISHED and inode else None

    def _by_tables(peer: Endpoint, here: Endpoint) -> int | None:
        is_told = False
        for table, wanted in zip(_TABLES, _rows(peer, here), strict=True):
            try:
                lines = table.read_text("ascii", "replace").splitlines()
            except OSError:
                continue
            is_told = True
            for line in lines[1:]:
                fields = line.split()
                if (fields[1], fields[2]) == wanted and int(fields[3], 16) == _ESTABLISHED and fields[9] != "0":
                    return int(fields[7])
        if is_told:
            raise NoPeerError()
        return None

    def _rows(peer: Endpoint, here: Endpoint) -> list[tuple[str, str]]:
        """How the two ends stand in each table; of IPv4 the second has them where the sender's socket is of IPv6."""
        ends = [(ip_address(end.address), end.port) for end in (peer, here)]
        narrow = [f"{_hex(address.packed)}:{port:04X}" for address, port in ends]
        wide = [f"{_hex(_wide(address))}:{port:04X}" for address, port in ends]
        return [(narrow[0], narrow[1]), (wide[0], wide[1])]

    def _wide(address: IPv4Address | IPv6Address) -> bytes:
        return address.packed if isinstance(address, IPv6Address) else bytes(10) + b"\xff\xff" + address.packed

    def _hex(packed: bytes) -> str:
        """As the kernel prints an address: words of four bytes in this machine's order."""
        words = struct.unpack(f"={len(packed) // 4}I", packed)
        return "".join(f"{word:08X}" for word in words)

    def may_use(uid: int, further: frozenset[int]) -> bool:
        """Whether a user is this one, root, or one of those named."""
        return uid in (os.geteuid(), 0) or uid in further

else:

    def user_of_peer(peer: Endpoint, here: Endpoint) -> int | None:
        """None: it is not asked."""
        return None

    def may_use(uid: int, further: frozenset[int]) -> bool:
        """Always: nobody is known."""
        return True
