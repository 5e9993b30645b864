"""One queue, several destinations: ``OTEL_TRACES_EXPORTER=otlp,console`` and the like.

They advance in step: a row leaves the queue when every destination has taken it, and a destination
that has it is not sent it again while the others catch up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cline_otel.export.interface import Batch, Delivered, Exporter, ExportResult, Paused, Refused, Retry, Unreachable


class FanoutExporter:
    """An exporter that gives every row to each of its exporters."""

    def __init__(self, exporters: Sequence[Exporter]) -> None:
        """``exporters`` in the order of the setting, at least one."""
        self._exporters = tuple(exporters)
        # By exporter, the rows that it has taken.
        self._settled: tuple[set[int], ...] = tuple(set() for _ in self._exporters)
        self._rejected = 0
        self._message = ""

    @property
    def description(self) -> str:
        """Every destination."""
        return ", and ".join(exporter.description for exporter in self._exporters)

    async def export(self, batch: Batch) -> ExportResult:
        """Send to each destination what it has not taken yet."""
        results = await asyncio.gather(*(self._export_to(index, batch) for index in range(len(self._exporters))))
        # They go on in step, so what holds for all rows goes first, then what may not be about these.
        for held in (Unreachable, Paused):
            for result in results:
                if isinstance(result, held):
                    return result
        if retries := [result for result in results if isinstance(result, Retry)]:
            waits = [retry.after_seconds for retry in retries if retry.after_seconds is not None]
            return Retry(retries[0].reason, max(waits) if waits else None)
        if refusals := [result for result in results if isinstance(result, Refused)]:
            return min(refusals, key=lambda refused: refused.grounds != "unclear")
        for settled in self._settled:
            settled.difference_update(row.id for row in batch.rows)
        delivered = Delivered(self._rejected, self._message)
        self._rejected, self._message = 0, ""
        return delivered

    def on_replaced(self, row_id: int, row_ids: Sequence[int]) -> None:
        """In a row's place there are others: whoever has taken it has taken them."""
        for settled in self._settled:
            if row_id in settled:
                settled.discard(row_id)
                settled.update(row_ids)

    def abort(self) -> None:
        """Break off what is being sent to each destination."""
        for exporter in self._exporters:
            exporter.abort()

    async def close(self) -> None:
        """Close every destination."""
        for exporter in self._exporters:
            await exporter.close()

    async def _export_to(self, index: int, batch: Batch) -> ExportResult | None:
        """The result where rows are left open; None when this destination has every row."""
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
            settled.update(row.id for row in open_rows)
            self._rejected += result.rejected
            self._message = result.message or self._message
            return None
        return result
