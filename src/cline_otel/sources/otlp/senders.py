"""Whose processes may send: on this machine the receiver's own user and root, and whom a setting names.

Where a token is asked for it alone decides. Without one only this machine can reach a receiver, and the system says
which user has the other end of a connection open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from cline_otel.operating_system.peers import Endpoint, NoPeerError, may_use, user_of_peer
from cline_otel.sources.otlp.access import is_loopback

VARIABLE: Final = "CLINE_OTEL_BRIDGE_LISTEN_UIDS"
_MOST_USERS: Final = 100


class Senders:
    """Looks who is at the other end of a connection.

    Args:
        are_asked_for_a_token: nobody is looked at then.
        uids: the numbers of users who may send, besides this one and root.
        report: takes one line for each user who is turned away first.
        user_of: who is at the other end; as :func:`cline_otel.operating_system.peers.user_of_peer`.
    """

    def __init__(
        self,
        *,
        are_asked_for_a_token: bool,
        uids: frozenset[int] = frozenset(),
        report: Callable[[str], None] = lambda line: None,
        user_of: Callable[[Endpoint, Endpoint], int | None] = user_of_peer,
    ) -> None:
        self._are_asked_for_a_token = are_asked_for_a_token
        self._uids = uids
        self._report = report
        self._user_of = user_of
        self.turned_away: Counter[int | None] = Counter()
        """How often each user was, by number; None stands for those who were gone before they could be looked at."""

    def may_send(self, peer: Endpoint, here: Endpoint) -> bool:
        """Whether whoever is at the other end may; who may not is counted.

        Args:
            peer: the other end.
            here: ours.
        """
        if self._are_asked_for_a_token or not is_loopback(here.address):
            return True
        try:
            uid = self._user_of(peer, here)
        except NoPeerError:
            self.turned_away[None] += 1
            return False
        if uid is None or may_use(uid, self._uids):
            return True
        if uid in self.turned_away or len(self.turned_away) < _MOST_USERS:
            is_new = uid not in self.turned_away
            self.turned_away[uid] += 1
            if is_new:
                self._report(self._line(uid))
        return False

    def lines(self) -> tuple[str, ...]:
        """Who was turned away how often, for people."""
        return tuple(
            f"{self._line(uid)} ({times} times so far)" for uid, times in self.turned_away.items() if uid is not None
        )

    def _line(self, uid: int) -> str:
        return (
            f"what user {uid} of this machine sent to an OTLP receiver was refused: name {uid} in {VARIABLE} if it is "
            "to be taken, or have senders show a token (CLINE_OTEL_BRIDGE_LISTEN_TOKEN)"
        )
