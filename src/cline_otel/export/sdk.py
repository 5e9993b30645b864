"""Any OpenTelemetry SDK exporter, by the name of its entry point.

SDK exporters block, so they run in threads; they answer only success or failure, so a
failure of any kind is tried again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any, Final

from google.protobuf.message import DecodeError

from cline_otel.destinations import SdkDestination
from cline_otel.export import sdk_objects
from cline_otel.export.interface import Batch, Delivered, ExporterError, ExportResult, Refused, Retry
from cline_otel.signals import SignalName

_GROUPS: Final[dict[SignalName, str]] = {
    "traces": "opentelemetry_traces_exporter",
    "metrics": "opentelemetry_metrics_exporter",
    "logs": "opentelemetry_logs_exporter",
}
_SHUTDOWN_SECONDS: Final = 2.0
_DECODERS: Final[dict[SignalName, Callable[[bytes], Any]]] = {
    "traces": sdk_objects.spans,
    "metrics": sdk_objects.metrics_data,
    "logs": sdk_objects.log_records,
}


def load_exporter(destination: SdkDestination) -> Any:
    """The SDK exporter that ``destination`` names, constructed with its own defaults.

    Raises:
        ExporterError: there is none, it cannot be constructed, or it is not one that is pushed to.
    """
    variable = f"OTEL_{destination.signal.upper()}_EXPORTER"
    found = entry_points(group=_GROUPS[destination.signal], name=destination.name)
    if not found:
        raise ExporterError(
            f"{variable}: no exporter '{destination.name}' is installed: use otlp, console or none, "
            f"or install a package that provides it (entry point group {_GROUPS[destination.signal]})"
        )
    try:
        exporter = next(iter(found)).load()()
    except Exception as error:
        raise ExporterError(
            f"{variable}: exporter '{destination.name}' cannot be started ({type(error).__name__}): "
            "check its package and its own settings"
        ) from error
    if not callable(getattr(exporter, "export", None)):
        raise ExporterError(
            f"{variable}: '{destination.name}' is a pull exporter, and only push exporters can be used: "
            "send OTLP to a collector and let that one be scraped"
        )
    return exporter


class SdkExporter:
    """Feeds decoded batches to an SDK exporter."""

    def __init__(self, destination: SdkDestination, exporter: Any) -> None:
        """``exporter`` is a ``SpanExporter``, ``MetricExporter`` or ``LogRecordExporter``, as the signal demands."""
        self._destination = destination
        self._exporter = exporter
        self._decode = _DECODERS[destination.signal]

    @property
    def description(self) -> str:
        """The exporter's name."""
        return self._destination.describe()

    async def export(self, batch: Batch) -> ExportResult:
        """Export the batch once, in a thread."""
        try:
            data = self._decode(batch.payload)
        except (DecodeError, ValueError) as error:
            return Refused(
                f"cannot be read back for exporter '{self._destination.name}' ({type(error).__name__})", "unsendable"
            )
        try:
            result = await _in_thread(lambda: self._exporter.export(data))
        except Exception as error:
            return Retry(f"exporter '{self._destination.name}' failed with {type(error).__name__}")
        if getattr(result, "name", "") == "SUCCESS":
            return Delivered()
        return Retry(f"exporter '{self._destination.name}' reported failure")

    def abort(self) -> None:
        """Nothing: it has connections of its own, and ends by itself what it has begun."""

    async def close(self) -> None:
        """Shut the exporter down, and wait a little for it."""
        with suppress(Exception):
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                await _in_thread(self._exporter.shutdown)


async def _in_thread(call: Callable[[], Any]) -> Any:
    """What ``call`` returns or raises. Its thread never keeps the process from ending, as an executor's would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result, raised = None, None
        try:
            result = call()
        except Exception as error:
            raised = error
        # The loop may be closed by the time a slow exporter returns.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, raised)

    threading.Thread(target=work, name="sdk-exporter", daemon=True).start()
    return await future
