"""The one exception that a user is meant to read: what is wrong, where, and what to do, in one line."""


class PbbError(Exception):
    """Bad input or a state that only a person can mend; the command line prints it and exits with code 2."""
