"""Whether telemetry may be gathered and sent: who says so, and that it is noticed while the bridge runs."""

from cline_otel.consent.decision import Answer, Consent, Decider, decide
from cline_otel.consent.erase import Erased, erase_if_less_is_allowed, erase_waiting
from cline_otel.consent.evidence import Evidence, evidence_of
from cline_otel.consent.off_file import OffFile
from cline_otel.consent.watch import ConsentWatch

__all__ = [
    "Answer",
    "Consent",
    "ConsentWatch",
    "Decider",
    "Erased",
    "Evidence",
    "OffFile",
    "decide",
    "erase_if_less_is_allowed",
    "erase_waiting",
    "evidence_of",
]
