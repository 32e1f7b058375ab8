"""What the daemon does: one file for each thing that can be asked of it, over ports.

``recommendations``, ``estimates`` and ``sources`` are what clients ask for. ``work_queue``
leases what was asked, ``runner`` carries it out, ``cache`` remembers it; ``workspace`` is the
directory they share with the workers, ``event_bus`` announces news, ``feeds`` reads it for those
who watch, ``turns`` is for what has no lease, and ``application`` puts them together.
"""
