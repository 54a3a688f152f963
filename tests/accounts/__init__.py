"""Accounts, letters and the outbox, on both databases and a real Maildir."""
