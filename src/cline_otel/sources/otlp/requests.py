"""What becomes of a request, whichever protocol it came by: who is let in, and what the pipeline makes of its body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cline_otel.signals import SignalName
from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import Intake, MalformedPayload, Payload, ReceiveResult
from cline_otel.sources.otlp.access import is_authorized
from cline_otel.sources.otlp.answers import ContentType, Refusal, RpcCode, retry_later


class Requests:
    """Takes requests for one source.

    Args:
        intake: takes the bodies.
        source: the source's name.
        bearer_token: if set, every request must carry it.
        report: takes one line about a defect that a request ran into, without anything of the request.
    """

    def __init__(self, intake: Intake, source: str, bearer_token: str | None, report: Callable[[str], None]) -> None:
        self._intake = intake
        self._source = source
        self._bearer_token = bearer_token
        self._report = report

    def let_in(self, authorizations: Sequence[str], origins: Sequence[str]) -> None:
        """Look at who sends, before anything of the body is read.

        Args:
            authorizations: every ``Authorization`` that came.
            origins: every ``Origin``, which web pages have.

        Raises:
            Refusal: 400, 401 or 403.
        """
        if len(authorizations) > 1:
            message = "There must be one Authorization header at most."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True)
        if origins:
            message = "Requests from web pages are not accepted."
            raise Refusal(403, RpcCode.PERMISSION_DENIED, message, is_final=True)
        if self._bearer_token is not None and not is_authorized(next(iter(authorizations), None), self._bearer_token):
            message = "A valid bearer token is needed in the Authorization header."
            raise Refusal(401, RpcCode.UNAUTHENTICATED, message, {"WWW-Authenticate": "Bearer"}, is_final=True)

    async def take(self, signal: SignalName, body: bytes, content_type: ContentType) -> ReceiveResult:
        """Hand a body over; returns after its commit. Metrics and traces are counted and dropped undecoded.

        Raises:
            Refusal: 400 it cannot be decoded, 429 or 503 not now.
        """
        try:
            if signal != "logs":
                await self._intake.count_unsupported(self._source, signal)
                return ReceiveResult(0)
            return await self._intake.receive(Payload(self._source, [body], content_type))
        except MalformedPayload:
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, "The body is not a valid request of log records.") from None
        except Busy as busy:
            raise retry_later(429, "Too much is waiting.", busy.retry_after_seconds) from None
        except Unavailable as unavailable:
            raise retry_later(503, "Nothing can be stored.", unavailable.retry_after_seconds) from None

    def failed(self, endpoint: str, error: Exception) -> Refusal:
        """Report a defect that a request ran into, and what to answer.

        503 over HTTP: 500 would make the sender give up its records (OTLP specification, "Retryable Response Codes").
        """
        self._report(f"the OTLP receiver at {endpoint} failed on a request: {type(error).__name__}")
        return retry_later(503, "The receiver failed.", 5)
