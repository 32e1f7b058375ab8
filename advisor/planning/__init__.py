"""The planner: a request, its devices and a log of measurements in; commands or the answer out.

Everything here is a pure function of its arguments. Each folder is a stage, and may import only
those below it: answer > trials > data > throughput > memory > evidence > tuning.
"""
