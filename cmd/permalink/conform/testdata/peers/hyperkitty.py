"""HyperKitty's own hash, which its URLs show, as a command that permalink conform hash can test."""
import sys
from email import message_from_binary_file
from email.message import EmailMessage
from email.policy import default

from hyperkitty.lib.utils import get_message_id, get_message_id_hash

# As its archiving API reads a message; it refuses one without an id.
message = message_from_binary_file(sys.stdin.buffer, _class=EmailMessage, policy=default)
if "Message-Id" in message:
    print(f"Message-ID-SHA1: {get_message_id_hash(get_message_id(message))}")
