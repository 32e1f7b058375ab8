"""The memory benchmark: several searches for the largest batch on one small card.

cases ──> tools: ours, lightning, decorator; truth knows the right answer
            │  each in a fresh process (isolation), peers on a `Card`
          found ──> summary ──> table, and the JSON beside it
"""
