"""What the command line takes and says, one module for each kind of work."""
