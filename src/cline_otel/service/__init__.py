"""The bridge as a service of its user, under the service manager of the system: systemd, launchd, Task Scheduler.

``interface`` says what a service manager needs to know and what it must say; each of the three is a module that only
makes texts and command lines, so all of them can be made and tested anywhere. ``environment`` is the file of settings
that goes with the service, ``install`` puts the files in place, runs the commands, and takes it all away again.
"""
