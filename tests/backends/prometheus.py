"""Runs a real Prometheus that takes OTLP, and asks it."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from integration.collector import CONFIGURATION_DIRECTORY
from integration.server_process import ServerProcess
from waiting import PATIENCE_SECONDS

FINDER: Final = CONFIGURATION_DIRECTORY / "find_or_build_prometheus.py"

OTLP_PATH: Final = "/api/v1/otlp"
"""What paths of OTLP are appended to."""

OURS: Final = '{__name__=~"(cline|gen_ai)_.*"}'
"""Selects every series of ours."""

WINDOW: Final = "1h"
"""Longer than any of these tests, so it begins before their first measurement."""

TAKES_OLDER_SAMPLES: Final = "storage: {tsdb: {out_of_order_time_window: 30m}}\n"
"""What Prometheus' guide to OTLP advises behind a collector, whose queue can overtake itself."""

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Samples(msgspec.Struct, frozen=True):
    """One series of Prometheus: its labels with its name, and its samples as seconds since the epoch and value.

    A native histogram is two of them, its count and its sum, named as those of a classic one are.
    """

    labels: Mapping[str, str]
    samples: list[tuple[float, float]]
    native_part: Literal["", "count", "sum"] = ""

    @property
    def name(self) -> str:
        """What the series is called."""
        return self.labels["__name__"]

    @property
    def increase(self) -> str:
        """What asks for ``increase()`` of every series with its name, over the hour before a time."""
        if not self.native_part:
            return f"increase({self.name}[{WINDOW}])"
        metric = self.name.removesuffix(f"_{self.native_part}")
        return f"histogram_{self.native_part}(increase({metric}[{WINDOW}]))"


class Prometheus(ServerProcess):
    """One Prometheus that scrapes nothing."""

    name = "prometheus"
    ready_line = b"Server is ready to receive web requests."
    port_count = 1

    def __init__(self, executable: Path, directory: Path, configuration: str = "") -> None:
        """``configuration`` is the text of its file; Prometheus' defaults where nothing is said."""
        super().__init__(executable, directory)
        self._configuration = directory / "prometheus.yml"
        self._configuration.write_text(configuration, encoding="utf-8")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def otlp_endpoint(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes."""
        return self.url + OTLP_PATH

    def _arguments(self) -> list[str]:
        return [
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._ports[0]}",
            "--web.enable-otlp-receiver",
        ]

    def _variables(self) -> Mapping[str, str]:
        return {}

    def samples(self) -> list[Samples]:
        """Every series of ours with every sample of the last hour."""
        series = []
        for each in self._query(f"{OURS}[{WINDOW}]"):
            labels = each["metric"]
            if "values" in each:
                series.append(Samples(labels, [(float(at), float(value)) for at, value in each["values"]]))
            for part in ("count", "sum") if "histograms" in each else ():
                samples = [(float(at), float(histogram[part])) for at, histogram in each["histograms"]]
                series.append(Samples({**labels, "__name__": f"{labels['__name__']}_{part}"}, samples, part))
        return series

    def ask(self, expression: str, at_seconds: float) -> list[tuple[Mapping[str, str], float]]:
        """What an expression is at a time, by labels."""
        answer = self._query(expression, f"{at_seconds:.3f}")
        return [(each["metric"], float(each["value"][1])) for each in answer]

    def _query(self, expression: str, at: str | None = None) -> list[Any]:
        fields = {"query": expression} | ({"time": at} if at is not None else {})
        request = urllib.request.Request(f"{self.url}/api/v1/query", urllib.parse.urlencode(fields).encode())
        with _OPENER.open(request, timeout=PATIENCE_SECONDS) as response:
            found: list[Any] = json.load(response)["data"]["result"]
        return found
