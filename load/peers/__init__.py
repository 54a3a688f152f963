"""Plain, fair baselines: what the product's paths are measured against, in the simplest honest form."""
