"""Load: the buyers' journey for Locust, and the run that checks the books afterwards."""
