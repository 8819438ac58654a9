"""Prints the hash of a message: python3 -m permalink_milter_archiver < MESSAGE"""

from __future__ import annotations

import argparse
import json
import sys
from base64 import b64decode, b64encode
from typing import Any, Dict

from .header import OverBound, raw_fields
from .message_id import Algorithm, identity, message_hash, message_id_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="permalink_milter_archiver", description=__doc__)
    parser.add_argument("--algorithm", default="md5", choices=[algorithm.value for algorithm in Algorithm])
    # For tests that compare implementations, in the form of the draft's
    # hashed_message_id.py.  It reads a JSON object a line, whose "header" is a
    # message or its header section in base64, and prints one for each:
    # "canonical" is the canonical Message-ID in base64, null if there is none;
    # "over" is true for a section over the bounds, and then nothing else is
    # computed; then the hashes and the identity.
    parser.add_argument("--jsonl", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.jsonl:
        for line in filter(str.strip, sys.stdin):
            print(json.dumps(describe(b64decode(json.loads(line)["header"]))))
        return 0
    return print_hash(Algorithm(arguments.algorithm), sys.stdin.buffer.read())


def print_hash(algorithm: Algorithm, message: bytes) -> int:
    """Print the hash of a message and return the exit status."""
    try:
        message_id = message_id_of(raw_fields(message))
    except OverBound as error:
        print(error, file=sys.stderr)
        return 1
    if not message_id:
        print("the message has no Message-ID", file=sys.stderr)
        return 1
    print(message_hash(algorithm, message_id))
    return 0


def describe(message: bytes) -> Dict[str, Any]:
    """Return what the rules compute from a message; see --jsonl."""
    try:
        found = raw_fields(message)
    except OverBound:
        return {"canonical": None, "over": True}
    message_id = message_id_of(found)
    hashes = {a.value: message_hash(a, message_id) if message_id else None for a in Algorithm}
    return {
        "canonical": b64encode(message_id).decode("ascii") or None,
        "over": False,
        **hashes,
        "identity": identity(found, ("message-id", "date")),
    }


if __name__ == "__main__":
    sys.exit(main())
