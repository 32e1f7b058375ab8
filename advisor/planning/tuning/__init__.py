"""Tuned numbers of the planner: one frozen value a stage, with unit, range and evidence."""
