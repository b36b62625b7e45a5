"""Versioned messages between the parts: client and server, server and agent.

Frozen pydantic models and nothing else; whoever speaks or listens validates with them.
"""
