"""Preview: what of each upstream event would leave, what would not, and why. Pure.

Records go one at a time through the very decoders, translator and encoders that a replay uses. Nothing here
judges a value: what a decoder says of a record with one field alone is what became of that field.
"""

from cline_otel.preview.fields import ExportedField, Reason, WithheldField
from cline_otel.preview.leaving import Item, Measurement, Sender, items_of
from cline_otel.preview.recording import Outcome, Preview, Step, Summary

__all__ = [
    "ExportedField",
    "Item",
    "Measurement",
    "Outcome",
    "Preview",
    "Reason",
    "Sender",
    "Step",
    "Summary",
    "WithheldField",
    "items_of",
]
