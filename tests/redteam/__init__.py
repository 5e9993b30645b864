"""Attacks on what is promised: real processes and sockets, and nothing but what an installed package has."""
