"""Every body that the gateway answers with, named as in the public contract.

Optional fields stand at the end with `None` and are left out of the JSON while they are None; a field without a default is
always there, even as null. Times are aware UTC, money is an integer in minor units beside its currency. Knows no rules.
"""
