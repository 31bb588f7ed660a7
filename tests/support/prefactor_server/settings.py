"""What one server is set up with: who may call it, and how much it accepts."""

from __future__ import annotations

from dataclasses import dataclass

# Everything of one account shares a PFID partition, as in the service.
PARTITION = 123_456_789
ACCOUNT_ID = "01jz0000003nqk8n00000000000acct0"
AGENT_ID = "01jz0000003nqk8n0000000000agent0"
ENVIRONMENT_ID = "01jz0000003nqk8n00000000000env00"
DEPLOYMENT_ID = "01jz0000003nqk8n0000000000dep000"


@dataclass(frozen=True)
class Settings:
    deployment_token: str = "pf-deployment-token"
    account_token: str = "pf-account-token"
    admin_token: str = "pf-admin-token"
    max_body: int = 8_000_000
    max_item: int = 1_000_000
    max_items: int | None = None
    # Spans for an instance that has already finished: refused, as the stricter reading.
    late_spans: bool = False
    # Spans for an instance that has not started: prefactor-core sends both at the same time.
    early_spans: bool = False
    # Custom ids have to lie in the account's partition.
    check_partition: bool = True
    # Payloads have to keep to their registered JSON schemas (prefactor-livekit's do not all).
    check_payloads: bool = True
