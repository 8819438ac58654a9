"""Mailman's own Message-ID-Hash as a command that permalink conform hash can test."""
import email
import sys

from mailman.email.message import Message
from mailman.utilities.email import add_message_hash

# As its LMTP server reads a message, but that the server makes up an id for one without.
value = add_message_hash(email.message_from_bytes(sys.stdin.buffer.read(), Message))
if value:
    print(f"Message-ID-SHA1: {value}")
