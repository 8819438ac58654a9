import unittest
from configparser import ConfigParser
from email.message import Message
from pathlib import Path

from permalink_milter_archiver.message_id import Algorithm
from permalink_milter_archiver.settings import API, LMTP, parse

GENERAL = "[general]\nurl = https://a/{list}/{token}\n"


def settings(text):
    parser = ConfigParser()
    parser.read_string(text)
    return parse(parser)


class Parse(unittest.TestCase):
    def test_defaults(self):
        s = settings(GENERAL)
        self.assertEqual(s.algorithm, Algorithm.MD5)
        self.assertEqual((s.emit, s.remove), (("Message-ID-MD5",), ("X-Message-ID-Hash",)))
        self.assertEqual(s.identity, ("message-id", "date"))
        self.assertEqual((s.api, s.lmtp, s.list_url, s.delivers), (None, None, None, False))
        self.assertEqual((s.queue_limit, s.pause), (10000, 60))

    def test_all_keys(self):
        s = settings(
            "[general]\nurl = https://a/{sha256}\nlist_url = https://a/{list}/\nalgorithm = SHA256\n"
            "emit = List-Message-ID-SHA256 Message-ID-Hash\nremove =\nidentity = from Date\n"
            "[api]\nbase_url = http://127.0.0.1:8897/\ntoken_file = /etc/t\ntimeout = 0.5\n"
            "[lmtp]\naddress = unix:/run/a.sock\ndomain = archive.example.org\nlistname = yes\ntimeout = 3\n"
            "[queue]\nlimit = 5\npause = 1\n"
        )
        self.assertEqual(s.algorithm, Algorithm.SHA256)
        self.assertEqual((s.emit, s.remove), (("List-Message-ID-SHA256", "Message-ID-Hash"), ()))
        self.assertEqual(s.identity, ("from", "date"))
        self.assertEqual(s.api, API("http://127.0.0.1:8897", Path("/etc/t"), 0.5))
        self.assertEqual(s.lmtp, LMTP("unix:/run/a.sock", "archive.example.org", True, 3))
        self.assertEqual((s.queue_limit, s.pause, s.delivers), (5, 1, True))
        self.assertEqual(s.list_page("Devel@h", "devel.h"), "https://a/devel@h/")

    def test_what_is_wrong_is_told(self):
        for text, hint in (
            ("", "url is missing"),
            (GENERAL + "uri = x\n", "unknown key uri"),
            (GENERAL + "list_url = https://a/{list}/{year}\n", "a list has no date"),
            (GENERAL + "[http]\n", r"unknown section \[http\]"),
            (GENERAL + "algorithm = sha512\n", "write md5, sha1 or sha256"),
            (GENERAL + "emit = Subject\n", "'Subject' does not name a hash"),
            (GENERAL + "remove = Message-ID\n", "'Message-ID' does not name a hash"),
            (GENERAL + "identity = body\n", "identity: body"),
            (GENERAL + "identity =\n", "identity is empty"),
            (GENERAL + "[queue]\npause = soon\n", "pause = soon: write a number above 0"),
            (GENERAL + "[queue]\nlimit = 0\n", "limit = 0: write a number above 0"),
            (GENERAL + "[queue]\nlimit = 0.5\n", "limit = 0.5: write a whole number"),
            (GENERAL + "[api]\nbase_url = localhost\n", "write an http or https URL"),
            (GENERAL + "[api]\nbase_url = http://h\n", "token_file is missing"),
            (GENERAL + "[lmtp]\naddress = /run/a\n", "write host:port or unix:/path"),
            (GENERAL + "[lmtp]\naddress = h:24\n", "domain is missing"),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, hint):
                settings(text)


class Permalink(unittest.TestCase):
    def test_is_computed_from_the_message_alone(self):
        msg = Message()
        msg["Message-ID"] = "\n <abc@example.org>"
        s = settings(GENERAL)
        self.assertEqual(s.permalink("Devel@h", "devel.h", msg), "https://a/devel@h/VP3JZR3MSKY5TQSMS5FHURHQXI")
        self.assertEqual(s.permalink("devel@h", "devel.h", msg, "X-2"), "https://a/devel@h/X-2")
        self.assertIsNone(s.permalink("devel@h", "devel.h", Message()))
        for _ in range(2000):
            msg["X"] = "y"
        self.assertIsNone(s.permalink("devel@h", "devel.h", msg))


if __name__ == "__main__":
    unittest.main()
