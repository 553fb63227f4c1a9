"""The one error class for everything a user can cure."""


class InputError(ValueError):
    """Bad input: the message says what was got, what is allowed and what to do.

    The command line prints the message alone, without a traceback, and exits with 2.
    """
