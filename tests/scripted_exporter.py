"""An exporter that answers as a test says."""

from __future__ import annotations

import asyncio

from cline_otel.export.interface import Batch, Delivered, ExportResult


class ScriptedExporter:
    """Gives the answers one after the other, the last of them for good."""

    description = "a scripted exporter"

    def __init__(self, *answers: ExportResult) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.taken: list[bytes] = []

    async def export(self, batch: Batch) -> ExportResult:
        self.requests.append(batch.payload)
        await asyncio.sleep(0)
        result = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(result, Delivered):
            self.taken.append(batch.payload)
        return result

    async def close(self) -> None:
        pass
