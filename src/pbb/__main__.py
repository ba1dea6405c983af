"""`python -m pbb` is the command `pbb`, which starts here: Ctrl-C while it loads is no error either."""

import signal
import sys


def main() -> int:
    """Load the command line and run it; the exit code."""
    try:
        from pbb.cli import main as run

        return run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("pbb: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
