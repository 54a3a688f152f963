"""Letters to buyers: what they say, how they leave, and the outbox that every effect outside the database goes through."""
