"""The Mailman plugin's reader as a command that permalink conform hash can test."""
import os
import sys

sys.path.insert(0, os.environ["PLUGIN"])
from permalink_milter_archiver.header import OverBound, raw_fields
from permalink_milter_archiver.message_id import Algorithm, identity, message_hash, message_id_of

try:
    fields = raw_fields(sys.stdin.buffer.read())
except OverBound:
    sys.exit()
message_id = message_id_of(fields)
if message_id:
    for algorithm in Algorithm:
        print(f"Message-ID-{algorithm.value.upper()}: {message_hash(algorithm, message_id)}")
    claim = identity(fields, ("message-id", "date"))
    print(f"Identity: {claim}")
    print(f"Claim: {message_hash(Algorithm.MD5, message_id)}={claim[:8]}")
