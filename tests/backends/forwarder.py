"""Stands between a bridge and a backend, and loses answers."""

from __future__ import annotations

import urllib.error
import urllib.request

from loopback_server import Answer, HttpRequest, LoopbackServer
from waiting import PATIENCE_SECONDS

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Forwarder(LoopbackServer):
    """Passes requests on and answers back, but for one answer.

    Attributes:
        loses_answer_about: the answer to the next request that contains this is lost, after the backend gave it;
            then it is empty.
        lost: how many answers were lost that said that the request was taken.
    """

    def __init__(self, backend: str) -> None:
        """``backend`` is the URL that paths are appended to."""
        super().__init__(self._forward)
        self.loses_answer_about = b""
        self.lost = 0
        self._backend = backend

    def _forward(self, request: HttpRequest) -> Answer | None:
        headers = {
            name: request.headers[name] for name in ("content-type", "content-encoding") if name in request.headers
        }
        forwarded = urllib.request.Request(self._backend + request.path, request.body, headers)
        try:
            with _OPENER.open(forwarded, timeout=PATIENCE_SECONDS) as response:
                answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                answer = error.code, error.read()
        about = self.loses_answer_about
        if about and answer[0] == 200 and about in request.unpacked():
            self.loses_answer_about = b""
            self.lost += 1
            return None
        return answer
