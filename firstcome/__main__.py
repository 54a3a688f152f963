"""`python -m firstcome`, the same as the command `firstcome`."""

from firstcome.cli import main

if __name__ == "__main__":
    main()
