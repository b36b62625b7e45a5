"""The key room: the only home of ``cryptography`` and ``securesystemslib``.

Secrets enter and leave as ``bytes`` and never as text that could end up in a log.  The server
holds a :class:`~turnout.keys.keyring.Keyring`; a host gets one environment's key and the public
signing key, and needs nothing from this room but the plain functions.
"""
