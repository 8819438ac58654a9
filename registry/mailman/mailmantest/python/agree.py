"""Hashes messages with the code of Mailman, of HyperKitty and of the plugin.

Reads a JSON object a line, as testdata/vectors/message-id.jsonl has them, and
prints one for each with the SHA-1 hash that each of them gives the message;
null where it fails.
"""

import base64
import email
import json
import sys
from email.message import EmailMessage
from email.policy import default

import django

django.setup()

from hyperkitty.lib.utils import get_message_id, get_message_id_hash  # noqa: E402
from mailman.email.message import Message  # noqa: E402
from mailman.utilities.email import add_message_hash  # noqa: E402
from permalink_milter_archiver.header import fields, raw_fields  # noqa: E402
from permalink_milter_archiver.message_id import Algorithm, message_hash, message_id_of  # noqa: E402


def mailman(section):
    msg = email.message_from_bytes(section, Message)
    if msg.defects:
        raise ValueError("Mailman's LMTP server refuses the message")
    return add_message_hash(msg)


def hyperkitty(section):
    """Return HyperKitty's hash of the message that Mailman's archiver sends."""
    sent = email.message_from_bytes(section, Message).as_bytes()
    return get_message_id_hash(get_message_id(email.message_from_bytes(sent, EmailMessage, policy=default)))


def plugin(found):
    message_id = message_id_of(found)
    return message_hash(Algorithm.SHA1, message_id) if message_id else None


def attempt(function, *args):
    try:
        return function(*args)
    except Exception:
        return None


for line in sys.stdin:
    row = json.loads(line)
    section = base64.b64decode(row["header"])
    print(
        json.dumps(
            {
                "name": row["name"],
                "mailman": attempt(mailman, section),
                "hyperkitty": attempt(hyperkitty, section),
                "plugin": plugin(raw_fields(section)),
                "archiver": plugin(fields(email.message_from_bytes(section, Message))),
            }
        )
    )
