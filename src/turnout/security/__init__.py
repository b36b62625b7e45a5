"""The security manager: who may come in; access rules, approvals and the audit trail follow.

In come texts that claim to be credentials, out go accounts or nothing.  It keeps digests of
secrets, never the secrets.
"""
