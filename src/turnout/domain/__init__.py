"""The words of the trade as frozen facts: phases, steps, plans, verdicts, legal transitions.

Pure: no I/O, no clock, no randomness, nothing imported from above.
"""
