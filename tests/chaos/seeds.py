"""The rounds that the suite runs: few, in which everything that can go wrong goes wrong once."""

#: Chosen from the first 30,000 for what their faults cover; tests/chaos/test_fault.py holds it so.
SEEDS = (4100, 57, 68, 85, 270, 306, 2151, 4307, 11031, 23585, 6878, 5)
#: No outage lasts longer there, in seconds.
LONGEST_S = 5.0
