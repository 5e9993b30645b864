"""That the bridge read, understood and delivered all that it was told, and left nothing behind."""

from __future__ import annotations

from typing import Any

from .evidence import Evidence
from .telemetry import Telemetry


def test_the_bridge_stops_cleanly_when_asked_to(evidence: Evidence, telemetry: Telemetry) -> None:
    assert telemetry.spans
    assert evidence.bridge_exit_code == 0


def test_the_bridge_understands_everything_that_cline_says(status: dict[str, Any]) -> None:
    not_understood = {"malformed", "unmapped_event", "missing", "late", "unsupported_signal"}
    assert [count for count in status["counts"] if count["kind"] in not_understood] == []


def test_the_bridge_delivers_everything_and_nothing_is_refused(status: dict[str, Any]) -> None:
    for name, signal in status["signals"].items():
        undelivered = ("pending_rows", "rejected_items", "refused_items", "evicted_items", "dead_letter_rows")
        assert {key: signal[key] for key in undelivered} == dict.fromkeys(undelivered, 0), name
        # Metrics are snapshots, of which the first may be sent only when the bridge stops.
        assert signal["delivered_items"] > 0 or name == "metrics", name


def test_a_spool_file_is_deleted_once_it_is_read_and_its_process_is_gone(
    evidence: Evidence, status: dict[str, Any]
) -> None:
    assert [source["unread_bytes"] for source in status["sources"] if source["source"] == "plugin"] == [0]
    # Within a process namespace the bridge can't tell that a process it never saw alive is gone.
    if evidence.scenario.bridge_starts == "before":
        assert list((evidence.folder / "bridge" / "state" / "spool").iterdir()) == []
