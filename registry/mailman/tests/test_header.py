import email
import unittest
from email.header import Header
from email.message import Message

from permalink_milter_archiver.header import MAX_BYTES, MAX_FIELDS, OverBound, fields, first, raw_fields
from permalink_milter_archiver.message_id import MAX_ID, canonical, message_id_of

from . import vectors

# Where Python's parser finds another Message-ID than the rule.  It reports a
# defect in the first, so Mailman's LMTP server refuses these messages.
REFUSED = {
    "06-gtfrom-first.eml",
    "08-fold-first.eml",
    "12-space-colon.eml",
    "12b-other-field-space-colon.eml",
    "17-empty-name.eml",
    "18-bare-cr-in-id.eml",
    "28-from-mid.eml",
    "40-bom-first.eml",
}
# In these it finds no Message-ID, so Mailman makes one.
RENAMED = {"07-blank-first.eml", "13-crcrlf.eml"}


def found_by(read, message):
    """Return the canonical Message-ID, or None over the bounds."""
    try:
        return message_id_of(read(message))
    except OverBound:
        return None


class Cases(unittest.TestCase):
    def test_there_are_at_least_27(self):
        self.assertGreaterEqual(len(list(vectors.header_cases())), 27)

    def test_messages_as_bytes(self):
        for name, message, want in vectors.header_cases():
            with self.subTest(name):
                self.assertEqual(found_by(raw_fields, message), want)

    def test_messages_that_python_parsed(self):
        refused, renamed = set(), set()
        for name, message, want in vectors.header_cases():
            msg = email.message_from_bytes(message)
            if found_by(fields, msg) == want:
                continue
            (refused if msg.defects else renamed).add(name)
            if not msg.defects:
                self.assertEqual(found_by(fields, msg), b"", name)
        self.assertEqual((refused, renamed), (REFUSED, RENAMED))

    def test_python_takes_what_follows_a_bare_cr_for_a_field(self):
        message = b"Subject: a\rMessage-ID: <b@c>\nMessage-ID: <x@y>\n\n"
        self.assertEqual(found_by(raw_fields, message), b"x@y")
        msg = email.message_from_bytes(message)
        self.assertEqual((found_by(fields, msg), msg.defects), (b"b@c", []))


class Bounds(unittest.TestCase):
    FROM, ID = b"From: a@b.example\n", b"Message-ID: <x@y>\n"

    def filled(self, before, size):
        fill = size - len("From" + "a@b.example" + "X" + "Message-ID" + "<x@y>")
        return before + b"X: " + b"y" * fill + b"\r\n" + self.ID + b"\n"

    def test_bytes(self):
        skipped = b"\xef\xbb\xbf\n \nFrom x\n" + self.FROM
        for before in (self.FROM, skipped):
            with self.subTest(before):
                self.assertEqual(found_by(raw_fields, self.filled(before, MAX_BYTES)), b"x@y")
                self.assertIsNone(found_by(raw_fields, self.filled(before, MAX_BYTES + 1)))
        for size, want in ((MAX_BYTES, b"x@y"), (MAX_BYTES + 1, None)):
            self.assertEqual(found_by(fields, email.message_from_bytes(self.filled(self.FROM, size))), want)

    def test_a_body_does_not_count(self):
        self.assertEqual(found_by(raw_fields, self.ID + b"\n" + bytes(MAX_BYTES)), b"x@y")
        self.assertEqual(found_by(raw_fields, self.ID + b"\xff" + bytes(MAX_BYTES)), b"x@y")

    def test_fields(self):
        for count, want in ((MAX_FIELDS, b"x@y"), (MAX_FIELDS + 1, None)):
            message = self.ID + b"X: y\n" * (count - 1)
            with self.subTest(count):
                self.assertEqual(found_by(raw_fields, message), want)
                self.assertEqual(found_by(fields, email.message_from_bytes(message)), want)

    def test_an_id(self):
        self.assertEqual(canonical(b"<" + b"x" * MAX_ID + b">"), b"x" * MAX_ID)
        long = b"Message-ID: <" + b"x" * (MAX_ID + 1) + b">\n"
        self.assertEqual(found_by(raw_fields, long), b"")
        self.assertEqual(found_by(raw_fields, long + self.ID), b"")


class Fields(unittest.TestCase):
    def test_raw_fields(self):
        for section, want in (
            (b"", []),
            (b"A: 1", [("a", b" 1")]),
            (b"A \t:1\r\n\tx\r\nB:\r\n\r\nC: 3\r\n", [("a", b"1\r\n\tx\r\n"), ("b", b"\r\n")]),
            (b"A: 1\n \n 2\n\nbody: x\n", [("a", b" 1\n \n 2\n")]),
            (b" x\nA: 1\n", []),
            (b"A: 1\n\r \nB: 2\n", [("a", b" 1\n")]),
            (b"A\r: 1\nB: 2\n", []),
            (b"A: 1\r\r\nB: 2\r\r\n\r\r\nC: 3\n", [("a", b" 1\r\r\n"), ("b", b" 2\r\r\n")]),
            (b"From x\n>From y\n\r\n \t\r\nFrom z\nA: 1\n", [("a", b" 1\n")]),
            (b"From \t: x\n", [("from", b" x\n")]),
            (b"From x\n fold\nA: 1\n", []),
            (b">>From x\nA: 1\n", []),
            (b"\n\xef\xbb\xbfA: 1\n", []),
        ):
            with self.subTest(section):
                self.assertEqual(raw_fields(section), want)

    def test_value_set_by_a_handler(self):
        for value in ("<grün@example.org>", Header("<grün@example.org>", "utf-8")):
            msg = Message()
            msg["Message-ID"] = value
            with self.subTest(type(value).__name__):
                self.assertEqual(message_id_of(fields(msg)), "grün@example.org".encode())

    def test_the_first_of_several_fields_counts(self):
        self.assertEqual(first(raw_fields(b"B: 0\nA: 1\na: 2\n"), "a"), b" 1\n")

    def test_no_field(self):
        self.assertEqual(message_id_of(fields(Message())), b"")


if __name__ == "__main__":
    unittest.main()
