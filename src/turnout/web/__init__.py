"""The dashboard: pages rendered on the server, kept live by one small script.

In come browsers with a session cookie, out go HTML and a stream that says when to look again.
It calls the coordinator and the security manager, never the API.
"""
