"""One queue, several destinations: ``OTEL_TRACES_EXPORTER=otlp,console`` and the like.

They advance in step: a row leaves the queue when every destination has settled it, and a destination
that has settled it is not sent it again while the others catch up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cline_otel.export.interface import Batch, Delivered, Exporter, ExportResult, Paused, Refused, Retry


class FanoutExporter:
    """An exporter that gives every row to each of its exporters."""

    def __init__(self, exporters: Sequence[Exporter]) -> None:
        """``exporters`` in the order of the setting, at least one."""
        self._exporters = tuple(exporters)
        # Per exporter and row: why it was refused; empty when it was taken.
        self._settled: tuple[dict[int, str], ...] = tuple({} for _ in self._exporters)
        self._rejected = 0
        self._message = ""

    @property
    def description(self) -> str:
        """Every destination."""
        return ", and ".join(exporter.description for exporter in self._exporters)

    async def export(self, batch: Batch) -> ExportResult:
        """Send to each destination what it has not settled yet."""
        results = await asyncio.gather(*(self._export_to(index, batch) for index in range(len(self._exporters))))
        # First what splits the batch: the parts can advance where the whole cannot.
        for result in results:
            if isinstance(result, Refused):
                return result
        if retries := [result for result in results if isinstance(result, Retry)]:
            waits = [retry.after_seconds for retry in retries if retry.after_seconds is not None]
            return Retry(retries[0].reason, max(waits) if waits else None)
        for result in results:
            if isinstance(result, Paused):
                return result
        return self._finished(batch)

    async def close(self) -> None:
        """Close every destination."""
        for exporter in self._exporters:
            await exporter.close()

    async def _export_to(self, index: int, batch: Batch) -> ExportResult | None:
        """The result where rows are left open; None when this destination has settled every row."""
        settled = self._settled[index]
        open_rows = [row for row in batch.rows if row.id not in settled]
        if not open_rows:
            return None
        try:
            result = await self._exporters[index].export(Batch(open_rows))
        except Exception as error:
            # One defective destination must not leave the others' sends running unobserved.
            return Retry(f"unexpected {type(error).__name__} in the exporter")
        if isinstance(result, Delivered):
            settled.update((row.id, "") for row in open_rows)
            self._rejected += result.rejected
            self._message = result.message or self._message
            return None
        if isinstance(result, Refused) and (len(open_rows) == 1 or not result.splittable):
            settled.update((row.id, result.reason) for row in open_rows)
            return None
        return result

    def _finished(self, batch: Batch) -> Delivered | Refused:
        reasons = [settled[row.id] for settled in self._settled for row in batch.rows if settled[row.id]]
        if reasons and len(batch.rows) > 1:
            # Every destination has settled every row, so splitting sends nothing; it only singles the refused out.
            return Refused(reasons[0])
        for settled in self._settled:
            for row in batch.rows:
                del settled[row.id]
        if reasons:
            return Refused(reasons[0], splittable=False)
        delivered = Delivered(self._rejected, self._message)
        self._rejected, self._message = 0, ""
        return delivered
