"""What confines a process on Linux, by system calls that Python has no functions for.

``landlock`` bounds what it may reach in the file system, ``seccomp`` keeps it off the network.
Both hold for the calling process and everything that it starts, and cannot be undone.
"""
