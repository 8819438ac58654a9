import os
import socket
import tempfile
import unittest

from permalink_milter_archiver.errors import Later, Refused
from permalink_milter_archiver.lmtp import Client, Receipt
from permalink_milter_archiver.settings import LMTP

from . import servers

HASH = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
IDENTITY = "0123456789abcdef0123456789abcdef"
CONTENT = b"Message-ID: <1@h>\r\n\r\n.dot\r\nbye\r\n"


def address(ordinal, name=""):
    return f"<{HASH}{'-%d' % ordinal if ordinal > 1 else ''}=01234567{name}@archive.example.org>"


class Deliver(unittest.TestCase):
    def deliver(self, *answers, listname=False):
        self.server = servers.start(self, servers.LMTP(*answers))
        client = Client(LMTP(self.server.address, "archive.example.org", listname, 5), "devel")
        return client.deliver(HASH, IDENTITY, "devel-bounces@h", CONTENT)

    def recipients(self):
        return [line[len("RCPT TO:") :] for line in self.server.transcript if line.startswith("RCPT")]

    def test_a_free_permalink(self):
        got = self.deliver("250 ok", f"354 250 2.1.5 {address(1)} Archived as {address(1)} https://a/{HASH}")
        self.assertEqual(got, Receipt(HASH, f"https://a/{HASH}"))
        mail = f"MAIL FROM:<devel-bounces@h> SIZE={len(CONTENT)} BODY=8BITMIME"
        self.assertEqual(self.server.transcript[1:], [mail, f"RCPT TO:{address(1)}", "DATA", "QUIT"])
        self.assertEqual(self.server.messages, [CONTENT.replace(b"\r\n.dot", b"\r\n..dot")])

    def test_an_occupied_one_and_the_one_that_the_archive_suggests(self):
        got = self.deliver(f"553 5.1.0 Permalink already occupied, try {address(4)}", "250 ok", "354 250 ok")
        self.assertEqual(got, Receipt(HASH + "-4", None))
        self.assertEqual(self.recipients(), [address(1), address(4)])
        self.assertEqual(len([line for line in self.server.transcript if line.startswith("MAIL")]), 1)

    def test_without_a_suggestion_the_next_one_is_tried(self):
        for text in ("occupied", "try <other@archive.example.org>", f"try {address(1)}", f"try <{HASH}-9999@archive.example.org>"):
            with self.subTest(text):
                got = self.deliver("553 5.1.0 " + text, "553 5.1.0 " + text, "250 ok", "354 250 ok")
                self.assertEqual(got.token, HASH + "-3")

    def test_the_message_itself_shows_that_it_is_another(self):
        got = self.deliver("250 ok", f"354 553 5.1.0 occupied, try {address(2)}", "250 ok", f"354 250 Archived as {address(2)} http://b/2")
        self.assertEqual(got, Receipt(HASH + "-2", "http://b/2"))
        self.assertEqual(len([line for line in self.server.transcript if line.startswith("MAIL")]), 2)

    def test_a_retransmission_learns_where_it_is(self):
        got = self.deliver("250 ok", f"354 250 Already archived as {address(3)} http://b/3")
        self.assertEqual(got, Receipt(HASH + "-3", "http://b/3"))

    def test_the_list_may_be_in_the_recipient(self):
        self.deliver("250 ok", "354 250 ok", listname=True)
        self.assertEqual(self.recipients(), [address(1, "+devel")])

    def test_refusals(self):
        for answers in (["550 no list"], ["250 ok", "554 no"], ["250 ok", "354 554 other hash"], ["553 occupied"] * 20):
            with self.subTest(answers[-1]), self.assertRaises(Refused):
                self.deliver(*answers)

    def test_temporary_failures(self):
        for answers in (["451 later"], ["421 bye"], ["250 ok", "451 no"], ["250 ok", "354 451 next hop"]):
            with self.subTest(answers[-1]), self.assertRaises(Later):
                self.deliver(*answers)

    def test_a_server_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = Client(LMTP("127.0.0.1:%d" % silent.getsockname()[1], "h", False, 0.1), "devel")
            with self.assertRaises(Later):
                client.deliver(HASH, IDENTITY, "", CONTENT)
        with self.assertRaises(Later):  # and one that is not there
            client.deliver(HASH, IDENTITY, "", CONTENT)

    def test_a_server_whose_reply_does_not_end(self):
        endless = "250-more\r\n" * 20_000 + "250 ok"
        for answers in ([endless], ["250 ok", "354 " + endless]):
            with self.assertRaises(Later):
                self.deliver(*answers, "354 250 ok")

    def test_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a:1.sock")
            servers.start(self, servers.UnixLMTP(path, "250 ok", "354 250 ok"))
            client = Client(LMTP("unix:" + path, "archive.example.org", False, 5), "devel")
            self.assertEqual(client.deliver(HASH, IDENTITY, "", CONTENT).token, HASH)


if __name__ == "__main__":
    unittest.main()
