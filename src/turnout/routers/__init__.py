"""What sends live requests to releases by weight: one port, and a driver for Envoy.

In come the wanted sites of one host; out go an acknowledged change and measured traffic.
Only the agent uses this room.
"""
