"""Tests of a running bridge: real processes, real sockets, a real journal."""
