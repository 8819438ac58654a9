"""The reasons why a message was not handed over."""


class Later(Exception):
    """The other side does not answer, or asks to be tried again later."""


class Refused(Exception):
    """The other side refuses the message for good."""
