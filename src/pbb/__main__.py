"""`python -m pbb` is the command `pbb`."""

import sys

from pbb.cli import main

if __name__ == "__main__":
    sys.exit(main())
