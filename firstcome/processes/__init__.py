"""One module for each kind of process: it builds what the process needs from the settings and runs it until SIGTERM."""
