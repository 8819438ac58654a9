import io
import json
import sys
import unittest
from base64 import b64encode
from unittest import mock

from permalink_milter_archiver.__main__ import main

MESSAGE = b"Message-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n\nhello\n"
MANY = b"X: y\n" * 2000


class Main(unittest.TestCase):
    def run_main(self, stdin, *arguments):
        """Return the exit status and what was printed to stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.multiple(
            sys, argv=["", *arguments], stdin=io.TextIOWrapper(io.BytesIO(stdin)), stdout=out, stderr=err
        ):
            return main(), out.getvalue(), err.getvalue()

    def test_the_hash_of_a_message(self):
        self.assertEqual(self.run_main(MESSAGE), (0, "VP3JZR3MSKY5TQSMS5FHURHQXI\n", ""))
        status, out, _ = self.run_main(MESSAGE, "--algorithm", "sha1")
        self.assertEqual((status, len(out)), (0, 33))

    def test_a_message_without_a_hash(self):
        self.assertEqual(self.run_main(b"Subject: x\n\n"), (1, "", "the message has no Message-ID\n"))
        status, out, err = self.run_main(MANY + MESSAGE)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("more than 1048576 bytes or 2000 fields", err)

    def test_jsonl(self):
        lines = [json.dumps({"header": b64encode(m).decode(), "name": "x"}) for m in (MESSAGE, b"", MANY + MESSAGE)]
        status, out, _ = self.run_main("\n".join(lines).encode(), "--jsonl")
        some, none, over = map(json.loads, out.splitlines())
        self.assertEqual(status, 0)
        self.assertEqual(some["canonical"], b64encode(b"abc@example.org").decode())
        self.assertEqual((some["over"], some["md5"]), (False, "VP3JZR3MSKY5TQSMS5FHURHQXI"))
        self.assertEqual(some["identity"], "6a1ecd33dbbbee041fd094481d121771")
        self.assertEqual((none["canonical"], none["over"], none["sha256"]), (None, False, None))
        self.assertEqual(over, {"canonical": None, "over": True})


if __name__ == "__main__":
    unittest.main()
