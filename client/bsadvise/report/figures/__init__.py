"""The figures of a report, a module each: from what was found to a specification and a table.

Each function returns None where a job has nothing to show of its kind. They are pure, and know
nothing of what draws them.
"""
