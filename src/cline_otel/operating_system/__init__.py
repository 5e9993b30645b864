"""What differs between operating systems, and nothing else: the rest of the code is the same everywhere.

Each module is one concern with a branch for each system, chosen when it is imported; pure parts take what the
system says as arguments. ``linux_processes`` and ``psutil_processes`` are two answers to ``process_interface``.

======================= ========================= ========================= ====================================
what is guaranteed      Linux                     macOS                     Windows
======================= ========================= ========================= ====================================
what is ours is for     modes 0700 and 0600,      as Linux                  by access lists that we do not set: a
its owner alone         whatever the umask; what                            folder that is made is for its owner,
(``files``)             was wider is narrowed                               SYSTEM and administrators (from Python
                                                                            3.11.10, 3.12.4 and 3.13 on); one that
                                                                            was there, and all files, have what the
                                                                            folder above gives them: in the user's
                                                                            profile the same
what another owns is    by a look at every step   as Linux                  not looked at: access lists decide
not used (``owners``)   of its path
a symbolic link is not  by the open itself        as Linux                  by a look before the open
followed to what is
ours
an open waits for no    by the open itself        as Linux                  no such files
end of a FIFO
what we have open can   yes                       yes                       yes, as the open shares deletion; not the
be renamed or deleted                                                       journal and the lock of the bridge
a file is replaced      at once                   at once                   at once, but perhaps not at all while
                                                                            somebody has either of the two open:
                                                                            tried for 0.3 s, then an error
the name of a new file  by ``sync_directory``     by ``sync_directory``     left to the file system
is on the disk
a file is known again   by its inode              by its inode              by its file id, on ReFS by a hash of it
whether a bridge runs   a lock that many can look as Linux                  a lock at which one can look at a time:
(``locks``)             at                                                  of two who look at once after a crash one
                                                                            may take the bridge for running
whether a process lives by ``/proc``, through pid by psutil; one of a       by psutil; one of WSL or of a virtual
(``processes``)         namespaces                virtual machine counts    machine counts as gone
                                                  as gone
a clock that is not set with the time asleep      as the system chooses     as the system chooses
(``clocks``)
who asks for a stop     SIGINT, SIGQUIT, SIGTERM, as Linux                  Ctrl-C, Ctrl-Break; nobody is asked when
(``stop_signals``)      SIGHUP                                              the console is closed or the process
                                                                            ended: as with a crash, what was
                                                                            committed is kept
whom a signal reaches    the child of a command,   as Linux                  Ctrl-C and Ctrl-Break reach all of a
(``child_processes``)   once, whoever sent it                               console; there are no others
a variable for programs files that systemd reads  ``launchctl``, until the  ``setx``, for good
that no shell starts                              user logs out
(``user_variables``)
======================= ========================= ========================= ====================================

Sockets need no branch: asyncio knows where an address may be reused. One bridge on a state directory is what
filelock guarantees; where that directory lies platformdirs knows.
"""
