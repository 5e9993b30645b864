"""End to end: a real Cline, a scripted model server, the bridge and a real collector, in a network of their own.

Run with ``pytest -n0 tests/e2e``. ``scenarios`` says what Cline is asked to do, ``launcher`` does it
inside a network namespace and leaves a results folder, and the tests compare what reached the
collector with the records of the model server and of Cline itself. In a live scenario (``switching``,
``resting``) things happen to Cline and the bridge in the middle of a run, and stock is taken of what lies on the disk.
"""
