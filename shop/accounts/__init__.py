"""People: buyers and operators, their passwords, codes, sessions and personal data."""
