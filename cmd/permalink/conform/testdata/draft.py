"""The draft's implementation as a command that permalink conform hash can test."""
import os
import sys

sys.path.insert(0, os.environ["DRAFT"])
import hashed_message_id as draft

try:
    fields = draft.split_fields(sys.stdin.buffer.read())
    message_id = draft.canonical(fields)
except draft.Unnamed:
    sys.exit()
for algorithm in draft.ALGORITHMS if message_id else ():
    print(f"Message-ID-{algorithm}: {draft.hash_of(message_id, algorithm)}")
print(f"Result: {draft.verify(fields)['message-id-sha256']}")
print(f"Identity: {draft.identity(fields).hex()}")
if message_id:
    print(f"Claim: {draft.hash_of(message_id, 'MD5')}={draft.identity(fields).hex()[:8]}")
if "CONFORM_TEMPLATE" in os.environ:
    try:
        print("Archived-At:", draft.expand(os.environ["CONFORM_TEMPLATE"], draft.url_values(fields, os.environ["CONFORM_LIST"])))
    except KeyError:
        pass  # such as the year of a message without a Date
