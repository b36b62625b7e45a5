"""The main job on real projects: releases go live, fail and go back under load.

`python -m demo [PROJECT]` starts Turnout in a temporary directory, deploys through its command
line as a user would, and keeps asking both sites all the while.
"""
