"""Where releases run: a port to one host, and a driver that speaks to its agent.

The coordinator asks for facts and states here and never learns how a host is reached.
"""
