"""What stands at the other end of a webhook: an example receiver that checks the signature (Standard Webhooks)."""
