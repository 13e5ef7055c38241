"""`pinhole demo`: a broker, a portal and an agent on this machine, supervised as one and ended as one."""
