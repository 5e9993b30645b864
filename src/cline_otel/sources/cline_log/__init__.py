"""The log source: ``cline.log``, where Cline mirrors its telemetry.

Cline 3.x writes JSON lines with O_APPEND from every CLI process at once. It never renames the file;
it truncates it in place: each process when it starts and the file was not written to for two days,
and again every two days while it lives, whatever is in the file then. (Read in the Cline repository
at commit 21cb8d25, ``apps/cli/src/logging/adapter.ts``.) So truncation is the case that happens;
renaming is done by a user's logrotate only.
"""
