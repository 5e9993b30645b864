"""Whether telemetry may be gathered and sent: who says so, and that it is noticed while the bridge runs."""

from cline_otel.consent.decision import Answer, Consent, OptOutSource, decide
from cline_otel.consent.erase import EraseResult, erase_if_less_is_allowed, erase_inputs, erase_waiting
from cline_otel.consent.off_file import OffFile
from cline_otel.consent.opt_out_sources import OptOutSources, opt_out_sources_of
from cline_otel.consent.watch import ConsentWatch

__all__ = [
    "Answer",
    "Consent",
    "ConsentWatch",
    "EraseResult",
    "OffFile",
    "OptOutSource",
    "OptOutSources",
    "decide",
    "erase_if_less_is_allowed",
    "erase_inputs",
    "erase_waiting",
    "opt_out_sources_of",
]
