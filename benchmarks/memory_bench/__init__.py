"""The memory benchmark: several searches for the largest batch on a device of little memory.

cases ──> tools: ours, lightning, decorator; truth knows the right answer
            │  each in a fresh process (isolation), peers on a `Card`
          found ──> summary ──> table, and the JSON file
"""
