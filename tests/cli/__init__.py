"""Tests of the command line as its users meet it: real processes, exit codes, what is printed where."""
