"""The planner: a request, a device and a log of measurements in; a command or the answer out.

Everything here is a pure function of its arguments.
"""
