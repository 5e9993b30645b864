"""Import: what Cline's files hold of the past, taken in once, beside what is told live and never twice (docs/adr/0019).

Nothing is named here of any source: what there is to import is theirs to say.
"""
