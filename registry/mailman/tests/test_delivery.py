import dataclasses
import email
import json
import tempfile
import unittest
from pathlib import Path

from permalink_milter_archiver.delivery import content, deliver, subject
from permalink_milter_archiver.errors import Later, Refused
from permalink_milter_archiver.header import fields, raw_fields
from permalink_milter_archiver.message_id import identity, message_id_of
from permalink_milter_archiver.settings import API, LMTP

from . import servers, vectors
from .test_settings import GENERAL, settings

HASH = "VP3JZR3MSKY5TQSMS5FHURHQXI"  # abc@example.org
MESSAGE = b"Message-ID: <abc@example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\nSubject: =?utf-8?q?gr=C3=BCn?=\n\nhello\n"
IDENTITY = "6a1ecd33dbbbee041fd094481d121771"
DATA = {"list": "devel@h", "list_id": "devel.h", "sender": "devel-bounces@h"}


class Deliver(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.token_file = Path(folder.name) / "token"
        self.token_file.write_text("secret\n")
        self.requests, self.status, self.token = [], 200, HASH
        self.base = servers.http(self, self.answer)
        self.msg = email.message_from_bytes(MESSAGE)

    def answer(self, method, path, headers, body):
        self.requests.append((method, path, headers["Authorization"], body))
        if self.status != 200:
            return self.status, json.dumps({"detail": "because"})
        return 200, json.dumps({"token": self.token})

    def settings(self, **changes):
        api = API(self.base, self.token_file, 5)
        return dataclasses.replace(settings(GENERAL), **{"api": api, **changes})

    def test_a_message_is_reserved_and_confirmed(self):
        self.token = HASH + "-2"
        deliver(self.settings(), self.msg, DATA)
        self.assertEqual(
            self.requests,
            [
                ("POST", "/api/v1/reservations", "Bearer secret", {"list": "devel@h", "hash": HASH, "identity": IDENTITY}),
                (
                    "PUT", f"/api/v1/reservations/devel@h/{HASH}-2/archived", "Bearer secret",
                    {"identity": IDENTITY, "url": f"https://a/devel@h/{HASH}-2", "subject": "grün"},
                ),
            ],
        )

    def test_a_message_without_the_date_that_its_url_shows_is_not_reserved(self):
        settings = self.settings(url="https://a/{year}-{month}/{md5:base64url}={claim}")
        deliver(settings, self.msg, DATA)
        self.assertEqual(self.requests[1][3]["url"], "https://a/2026-11/q_acx2ySsdnCTJdKekTwug=" + IDENTITY[:8])
        self.requests.clear()
        del self.msg["Date"]
        with self.assertRaisesRegex(Refused, "needs a Date"):
            deliver(settings, self.msg, DATA)
        self.assertEqual(self.requests, [])

    def test_what_can_pass_is_tried_again_and_what_cannot_is_not(self):
        for status, error in ((400, Refused), (409, Refused), (401, Later), (403, Later), (429, Later), (503, Later), (302, Later), (None, Later)):
            self.status = status
            with self.subTest(status), self.assertRaises(error):
                deliver(self.settings(), self.msg, DATA)

    def test_an_answer_that_is_not_the_apis(self):
        self.token = "EVIL"
        with self.assertRaises(Later):
            deliver(self.settings(), self.msg, DATA)

    def test_without_its_token_file_a_message_waits(self):
        self.token_file.unlink()
        with self.assertRaises(Later):
            deliver(self.settings(), self.msg, DATA)
        self.assertEqual(self.requests, [])

    def test_by_lmtp_then_confirmed_with_the_archives_url(self):
        server = servers.start(self, servers.LMTP("250 ok", f"354 250 Archived as <{HASH}=6a1ecd33@arch> http://arch/1"))
        deliver(self.settings(lmtp=LMTP(server.address, "arch", False, 5)), self.msg, DATA)
        self.assertEqual(server.messages, [MESSAGE.replace(b"\n", b"\r\n")])
        self.assertEqual(self.requests[1][3]["url"], "http://arch/1")

    def test_a_message_without_an_id(self):
        with self.assertRaisesRegex(Refused, "no Message-ID"):
            deliver(self.settings(), email.message_from_bytes(b"Subject: x\n\n"), DATA)

    def test_a_message_over_the_bounds(self):
        message = b"X: y\n" * 2000 + MESSAGE
        with self.assertRaisesRegex(Refused, "more than 1048576 bytes or 2000 fields"):
            deliver(self.settings(), email.message_from_bytes(message), DATA)
        self.assertEqual(self.requests, [])


class Content(unittest.TestCase):
    def test_what_is_handed_over_has_the_same_hash_and_identity(self):
        for row in vectors.rows():
            msg = email.message_from_bytes(row["header"])
            if msg.defects:
                continue
            with self.subTest(row["name"]):
                section = content(msg)
                self.assertNotIn(b"\n", section.replace(b"\r\n", b""))
                self.assertEqual(message_id_of(raw_fields(section)), row["canonical"])
                names = ("message-id", "date", "from")
                self.assertEqual(identity(raw_fields(section), names), identity(fields(msg), names))


    def test_eight_bit_text_is_handed_over_as_it_came(self):
        for name, boundary, line in (
            ("a boundary in Latin-1", b'"gr\xfcn"', b"gr\xfcn"),
            ("a boundary in UTF-8", b"gr\xc3\xbcn", b"gr\xc3\xbcn"),
            ("an encoded boundary", b"?=; boundary*=utf-8''gr%C3%BCn", b"gr\xc3\xbcn"),
            ("a boundary that no line has", b"b", b"gr\xfcn"),
            ("text around the parts", b"b", b"b"),
        ):
            part = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
            part += b"\xe4\r\n--" + line + b"\r\n\r\n\xfc\xc3\xbc\r\n--" + line + b"--\r\n\xf6\r\n"
            nested = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + part + b"\r\n--x--\r\n"
            for message in (part, nested):
                with self.subTest(name, nested=message is nested):
                    message = b"Message-ID: <x@y>\r\n" + message
                    self.assertEqual(content(email.message_from_bytes(message)), message)

    def test_text_that_a_handler_set_is_utf_8(self):
        msg = email.message_from_bytes(b"Message-ID: <x@y>\n\n")
        msg.set_payload("gr\u00fcn\n")
        self.assertEqual(content(msg), b"Message-ID: <x@y>\r\n\r\ngr\xc3\xbcn\r\n")


class Subject(unittest.TestCase):
    def test_is_one_line_of_text(self):
        for raw, want in (
            (b"a\n b", "a b"),
            (b"=?utf-8?q?gr=C3=BCn?=", "grün"),
            (b"=?nonsense?q?x?=", "=?nonsense?q?x?="),
            (b"gr\xfcn", "gr\ufffdn"),
        ):
            with self.subTest(raw):
                self.assertEqual(subject(email.message_from_bytes(b"Subject: " + raw + b"\n\n")), want)


if __name__ == "__main__":
    unittest.main()
