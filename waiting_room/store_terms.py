"""How a Redis has to be set to be a home for lines and lanes, and how far clocks may differ: asked by the doctor, at the start, and by
whoever asks whether a process can serve.
"""

KEEPS_EVERYTHING = (
    "noeviction"  # when full, it refuses what is new instead of throwing places and orders away
)
KEEPS_ON_DISK = "yes"  # what restarts has forgotten a second at most; a demo may do without
MOST_DRIFT_S = 2.0
