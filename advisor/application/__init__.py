"""What the daemon does: one file for each thing that can be asked of it, over ports.

``recommendations``, ``estimates`` and ``sources`` are what clients ask for. ``work_queue``
leases what was asked, ``runner`` carries it out, ``cache`` remembers it; ``workspace`` is the
directory they share with the workers, ``event_bus`` tells watchers that there is news, and
``application`` puts them together.
"""
