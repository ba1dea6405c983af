"""`python -m pbb` is the command `pbb`, which starts here: Ctrl-C while it loads is no error either."""

import signal
import sys
from types import FrameType


def main() -> int:
    """Load the command line and run it; the exit code."""
    interrupted = False

    def stop(number: int, frame: FrameType | None) -> None:
        # The second Ctrl-C of an impatient person would strike while the first is being told.
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, stop)
        from pbb.cli import main as run

        code = run()
        # While the interpreter winds up, a further Ctrl-C would still kill it with another exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return code
    except BaseException as error:
        # A library that is interrupted while it is imported may turn that into an error of its own.
        if not interrupted and not isinstance(error, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("pbb: stopped", file=sys.stderr)
        return 130
    finally:
        # CPython remembers a KeyboardInterrupt that came out of a string of code, such as a dataclass is made by, though it was
        # caught: `python -m` would end by SIGINT in place of its exit code. Any other string that is run makes it forget.
        exec("")


if __name__ == "__main__":
    sys.exit(main())
