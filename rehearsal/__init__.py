"""The rehearsal of a sale: a made-up crowd goes through the real admission on a private Redis, by a simulated clock."""
