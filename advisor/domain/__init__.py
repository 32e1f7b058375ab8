"""The advisor's values: requests, devices, commands, measurements, advice, errors and states.

Standard library only. Everything here is frozen, checks itself when it is built, and ends
each physical quantity with its unit.
"""
