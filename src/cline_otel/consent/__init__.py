"""Whether telemetry may be gathered and sent: who says so, and that it is noticed while the bridge runs."""

from cline_otel.consent.decision import Answer, Consent, OptOutSource, decide
from cline_otel.consent.off_file import OffFile
from cline_otel.consent.opt_out_sources import OptOutSources, opt_out_sources_of

__all__ = [
    "Answer",
    "Consent",
    "OffFile",
    "OptOutSource",
    "OptOutSources",
    "decide",
    "opt_out_sources_of",
]
