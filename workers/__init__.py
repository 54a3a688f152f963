"""Lanes of accepted orders, the workers that decide them, and the sweeper that mends what was missed.

`lanes` is what the gateway uses; everything else runs in processes of its own.
"""
