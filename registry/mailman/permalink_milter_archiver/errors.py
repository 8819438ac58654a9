"""Why a message could not be handed over."""


class Later(Exception):
    """The other side does not answer, or says so: to be tried again."""


class Refused(Exception):
    """The other side will not take the message, however often it is tried."""
