"""The span of somebody else in which Cline was started, a pipeline's for example, and what a root run is to it.

It is a fact of the run, told by who owns it and when it starts: the same recording gives the same ids, live and in a
replay (docs/adr/0019).
"""

from __future__ import annotations

import re
from typing import Final

from cline_otel.events import RunClaimed, RunStarted
from cline_otel.translate.stored import Run, RunState

_TRACE_ID: Final = re.compile("(?!0{32})[0-9a-f]{32}")
_SPAN_ID: Final = re.compile("(?!0{16})[0-9a-f]{16}")
"""All zeros are invalid (W3C Trace Context)."""


def join_remote(run: Run, event: RunStarted | RunClaimed) -> None:
    """A root run becomes the child of that span, or has a link to it, before anything of it leaves.

    Ids that are none change nothing, nor does what another says than its owner.
    """
    if not (run.is_root or run.is_of_another) or run.state is not RunState.NEW or run.owner not in ("", event.source):
        return
    trace_id, span_id = event.remote_trace_id or "", event.remote_span_id or ""
    if not _TRACE_ID.fullmatch(trace_id) or not _SPAN_ID.fullmatch(span_id):
        return
    if event.remote_relation == "child":
        run.remote_trace_id, run.parent_span_id = bytes.fromhex(trace_id), bytes.fromhex(span_id)
    elif event.remote_relation == "link":
        run.remote_link = (bytes.fromhex(trace_id), bytes.fromhex(span_id))
