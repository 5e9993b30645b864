"""What the stand-ins for vendors' OTLP intakes have in common."""

from __future__ import annotations

import gzip
import threading
import time
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, Literal

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from loopback_server import Answer, HttpRequest, LoopbackServer
from waiting import PATIENCE_SECONDS

from .points import Amount, Point, Series, points_of, sums_of

Fault = Literal["unavailable", "answer lost", "too old"]
"""503; taken, and the connection closed before the answer; refused as if its points were too old."""

SECOND_NS: Final = 1_000_000_000


class Refusal(msgspec.Struct, frozen=True):
    """What was not taken.

    Attributes:
        status: what was answered; 200 where the vendor looks at the content only after its answer.
        reason: why, for people.
        points: how many metric points that cost.
    """

    status: int
    reason: str
    points: int = 0


class Intake(LoopbackServer):
    """Decodes metrics, counts each point once by series, start and time, and keeps what it refused and why.

    Traces and logs are answered as taken and looked at no further.

    Attributes:
        faults: what is done with the next metric requests, one each.
        standing_fault: what is done with every metric request while ``faults`` is empty; None is business as usual.
        requests: the bodies of the metric requests that were taken, unpacked, in their order.
        points: what was taken, each point once.
        repeats: how many points came that were known already, with the same amount.
        contradictions: points that came again, by series, start and time, with another amount; not counted.
        refusals: what was not taken.
        asked: how many metric requests came with their key.
    """

    api_key_header: str
    """The header that must be there, in lower case."""
    too_old: str
    """The reason given for points that are too old."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.faults: deque[Fault] = deque()
        self.standing_fault: Fault | None = None
        self.requests: list[bytes] = []
        self.points: list[Point] = []
        self.repeats = 0
        self.contradictions: list[Point] = []
        self.refusals: list[Refusal] = []
        self.asked = 0
        self._known: dict[tuple[object, ...], Amount] = {}
        self._lock = threading.Lock()
        self._held: tuple[threading.Event, threading.Event] | None = None

    def hold(self) -> tuple[threading.Event, threading.Event]:
        """The next metric request is answered when it is let go: set when it came; to be set."""
        self._held = threading.Event(), threading.Event()
        return self._held

    def sums(self) -> dict[Series, Amount]:
        """What can be summed here: the deltas, by metric and labels, whosever they are."""
        with self._lock:
            return sums_of(self.countable())

    def countable(self) -> Iterable[Point]:
        """The points of which this vendor takes sums."""
        return [point for point in self.points if point.is_delta]

    def overlaps(self) -> list[tuple[Point, Point]]:
        """Points of a stream whose times overlap, in which something would be told twice."""
        streams: dict[object, list[Point]] = {}
        for point in self.points:
            if point.is_delta:
                streams.setdefault(point.stream, []).append(point)
        found = []
        for stream in streams.values():
            stream.sort(key=lambda point: (point.starts_at_ns, point.ends_at_ns))
            found += [pair for pair in pairwise(stream) if pair[1].starts_at_ns < pair[0].ends_at_ns]
        return found

    def reasons(self) -> Counter[str]:
        """Why things were refused."""
        return Counter(refusal.reason for refusal in self.refusals)

    @abstractmethod
    def check_size(self, packed_bytes: int, unpacked_bytes: int, *, is_packed: bool) -> str | None:
        """Why a request is too large, or None."""

    @abstractmethod
    def check_request(self, points: list[Point], now_ns: int) -> str | None:
        """Why a request is refused as a whole, by 400, or None."""

    @abstractmethod
    def check_point(self, point: Point, now_ns: int) -> str | None:
        """Why a point of a request that was taken is dropped later, or None."""

    def _take(self, http_request: HttpRequest) -> Answer | None:
        if not http_request.headers.get(self.api_key_header):
            return self._refuse(403, f"no {self.api_key_header} header")
        if not http_request.path.endswith("/v1/metrics"):
            return 200, b""
        with self._lock:
            self.asked += 1
            fault = self.faults.popleft() if self.faults else self.standing_fault
            held, self._held = self._held, None
        if held is not None:
            held[0].set()
            held[1].wait(PATIENCE_SECONDS)
        if fault == "unavailable":
            return 503, b""
        answer = self._take_metrics(http_request, pretends_too_old=fault == "too old")
        return None if fault == "answer lost" else answer

    def _take_metrics(self, http_request: HttpRequest, *, pretends_too_old: bool) -> Answer:
        if http_request.headers.get("content-type") != "application/x-protobuf":
            return self._refuse(415, "no protobuf")
        try:
            body = http_request.unpacked()
            request = ExportMetricsServiceRequest.FromString(body)
        except (gzip.BadGzipFile, EOFError, DecodeError) as error:
            return self._refuse(400, f"not decodable: {type(error).__name__}")
        points = list(points_of(request))
        is_packed = "content-encoding" in http_request.headers
        if reason := self.check_size(len(http_request.body), len(body), is_packed=is_packed):
            return self._refuse(413, reason, len(points))
        now_ns = time.time_ns()
        if reason := self.too_old if pretends_too_old else self.check_request(points, now_ns):
            return self._refuse(400, reason, len(points))
        with self._lock:
            self.requests.append(body)
            for point in points:
                if dropped := self.check_point(point, now_ns):
                    self.refusals.append(Refusal(200, dropped, 1))
                else:
                    self._count(point)
        return 200, b""

    def _count(self, point: Point) -> None:
        key = (*point.stream, point.starts_at_ns, point.ends_at_ns)
        known = self._known.setdefault(key, point.amount)
        if known is point.amount:
            self.points.append(point)
        elif known == point.amount:
            self.repeats += 1
        else:
            self.contradictions.append(point)

    def _refuse(self, status: int, reason: str, points: int = 0) -> Answer:
        with self._lock:
            self.refusals.append(Refusal(status, reason, points))
        return status, b""
