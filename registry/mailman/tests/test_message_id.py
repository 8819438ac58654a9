import email
import unittest

from permalink_milter_archiver.header import fields, raw_fields
from permalink_milter_archiver.message_id import (
    IDENTITY_FIELDS,
    Algorithm,
    canonical,
    field_algorithm,
    identity,
    message_hash,
    message_id_of,
)

from . import vectors


class Vectors(unittest.TestCase):
    def test_there_are_at_least_200(self):
        self.assertGreaterEqual(len(list(vectors.rows())), 200)

    def test_canonical_id_and_hashes_of_each_agree(self):
        for row in vectors.rows():
            with self.subTest(row["name"]):
                got = message_id_of(raw_fields(row["header"]))
                self.assertEqual(got, row["canonical"])
                for algorithm in Algorithm if got else ():
                    self.assertEqual(message_hash(algorithm, got), row[algorithm.value])

    def test_parsed_messages_agree_but_for_those_that_mailman_refuses(self):
        refused = []
        for row in vectors.rows():
            msg = email.message_from_bytes(row["header"])
            if msg.defects:
                refused.append(row["name"])
                continue
            with self.subTest(row["name"]):
                self.assertEqual(message_id_of(fields(msg)), row["canonical"])
        self.assertEqual(refused, ["name-space/0", "name-space/1"])


class MessageID(unittest.TestCase):
    def test_canonical(self):
        for value, want in (
            (b"", b""),
            (b" \r\n\t", b""),
            (b"<>", b""),
            (b"<", b"<"),
            (b">", b">"),
            (b"<<a@b>>", b"<a@b>"),
            (b"\n <abc@example.org>", b"abc@example.org"),
            (b"<ab\r\n\tc@exam\n ple.org>", b"abc@example.org"),
            (b"<a@b> (comment)", b"<a@b>(comment)"),
            (b"<gr\xfc\xdf@example.org>", b"gr\xfc\xdf@example.org"),
            (b"<\x0ba\xa0@b>", b"\x0ba\xa0@b"),
        ):
            with self.subTest(value):
                self.assertEqual(canonical(value), want)

    def test_sha1_is_what_mailman_documents(self):
        got = message_hash(Algorithm.SHA1, b"87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp")
        self.assertEqual(got, "JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP")

    def test_field_names_tell_the_algorithm(self):
        names = [algorithm.field_name for algorithm in Algorithm]
        self.assertEqual(names, ["Message-ID-MD5", "Message-ID-SHA1", "Message-ID-SHA256"])

    def test_identity_is_what_the_milter_computes(self):
        header = list(
            raw_fields(b"From: A <a@b>\r\n\t(x)\nTo: t\nCc: c c\nDate: d\nMessage-ID: <m@h>\nSubject:s\xfc\nDate: e\n\n")
        )
        self.assertEqual(identity(header, IDENTITY_FIELDS), "a2579f19d8b89e15d34c8fe225fc694c")
        refolded = raw_fields(b"Message-ID: <>\nMessage-ID:\n <m@h>\nDate:  d")
        self.assertEqual(identity(refolded, ("date", "message-id")), identity(header, ("message-id", "date")))

    def test_field_names_tell_the_algorithm_back(self):
        for name, want in (
            ("message-id-md5", Algorithm.MD5),
            ("List-Message-ID-SHA256", Algorithm.SHA256),
            ("X-Message-ID-Hash", Algorithm.SHA1),
        ):
            with self.subTest(name):
                self.assertEqual(field_algorithm(name), want)
        for name in ("Message-ID", "Message-ID-MD4", "XMessage-ID-MD5", "Subject", "a b-Message-ID-MD5", ""):
            with self.subTest(name), self.assertRaises(ValueError):
                field_algorithm(name)


if __name__ == "__main__":
    unittest.main()
