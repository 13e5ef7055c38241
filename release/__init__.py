"""pinhole-release: install, try, keep and roll back releases of Pinhole on this machine.

One program for both ways a release arrives: Ansible pushes the files and calls it, or a timer pulls them.
It needs Python's standard library, ssh-keygen and systemd, and is installed as one file (`joined.py`).

A release is built in place, because an environment cannot be moved. What the last releases already hold is
linked from them: neither fetched, nor unpacked, nor stored again. A new release is on trial until it is
healthy (unit ready, broker reached, pictures captured with a keyframe when one was asked for, and confirmed
from outside where that was asked for).
Whatever else happens, a crash, silence, a kill, a power cut or a lost connection, ends at the last good
release; each command first ends what an earlier one, or a trial, was killed in.

    /opt/pinhole/current -> releases/<version>       switched by one rename(2)
    /opt/pinhole/releases/<version>/                 the environment; release.json in it is written last
    /opt/pinhole/incoming/                           files on their way in
    /opt/pinhole/state.json                          which are good, what is on trial, what was rolled back
    /opt/pinhole/state-copy.json                     the same, for when that is damaged
    /opt/pinhole/mirror.json                         what the source of releases last said
"""
