"""The benchmarks, one file per subject; each gives a few figures and takes a minute or two."""
