"""Delivery: takes encoded OTLP requests out of the journal and gets them to where they are wanted."""
