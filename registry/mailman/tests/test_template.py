import unittest

from permalink_milter_archiver.message_id import Algorithm, message_hash
from permalink_milter_archiver.template import NoDate, Permalink, check, expand, year_and_month

from . import vectors

ID = b"abc@example.org"
MD5 = message_hash(Algorithm.MD5, ID)
DATE = b" Tue, 24 Nov 2026 11:00:00 +0000"
LINK = Permalink("devel@lists.example.org", "devel.lists.example.org", ID, Algorithm.MD5, MD5 + "-2", "41b451b7", DATE)

# The forms that hashheader's TestEveryForm has, of the same message.
ODD = Permalink("c+dev@lists.example.org", "c+dev.lists.example.org", b"a/b?c#d&e+f=g%h\xfc~@x", Algorithm.SHA1, MD5 + "-2", "41b451b7",
                b"Thu, 31 Dec 2026 23:30:00 -0100")


class Template(unittest.TestCase):
    def test_each_placeholder(self):
        for template, want in (
            ("https://a/{md5}", MD5),
            ("https://a/{hash}", MD5),
            ("https://a/{token}", MD5 + "-2"),
            ("https://a/{sha1}", message_hash(Algorithm.SHA1, ID)),
            ("https://a/{sha256}", message_hash(Algorithm.SHA256, ID)),
            ("https://a/{message_id}", "abc@example.org"),
            ("https://a/{list}", "devel@lists.example.org"),
            ("https://a/{listname}", "devel"),
            ("https://a/{host}", "lists.example.org"),
            ("https://a/{list_id}", "devel.lists.example.org"),
            ("https://a/{claim}", "41b451b7"),
            ("https://a/{year}-{month}", "2026-11"),
        ):
            with self.subTest(template):
                self.assertEqual(expand(check(template), LINK), "https://a/" + want)

    def test_values_are_encoded_for_a_path_segment(self):
        odd = Permalink("l@h", "", b"a/b?c#d%e<f>\xfc \"~!$&'()*+,;=:@-._", Algorithm.MD5, "")
        want = "https://a/a%2Fb%3Fc%23d%25e%3Cf%3E%FC%20%22~!$&'()*+,;=:@-._/"
        self.assertEqual(expand("https://a/{message_id}/", odd), want)

    def test_every_form(self):
        for placeholder, want in (
            ("{md5}", "MU3MZUUKVTFKFRICYGMDKI47FA"),
            ("{hash}", "I2WBZ7E53627BVHMW4O3DS3Q2FDKZ5NC"),
            ("{sha1(message_id)}", "I2WBZ7E53627BVHMW4O3DS3Q2FDKZ5NC"),
            ("{md5:base64url}", "ZTbM0oqsyqLFAsGYNSOfKA"),
            ("{md5:hex}", "6536ccd28aaccaa2c502c19835239f28"),
            ("{sha1(message_id,listname):base64url}", "MiO3tYLHNywKoJygNyixC_12aJs"),
            ("{hash(list,host,list_id,message_id):hex}", "b6c8fd940512fc6a9f3c5b4dfb013b53324044fa"),
            ("{message_id:path}", "a%2Fb%3Fc%23d&e+f=g%25h%FC~@x"),
            ("{message_id:query}", "a%2Fb%3Fc%23d%26e%2Bf%3Dg%25h%FC~%40x"),
            ("{list:query}&{listname}", "c%2Bdev%40lists.example.org&c+dev"),
            ("{year}-{month}/{claim}", "2027-01/41b451b7"),
        ):
            with self.subTest(placeholder):
                self.assertEqual(expand(check("https://a/" + placeholder), ODD), "https://a/" + want)

    def test_the_urls_of_other_archives(self):
        templates = {
            "sympa-6.2.80": "https://a/{year}-{month}/{md5:base64url}",
            "ietf-mailarchive": "https://a/{sha1(message_id,listname):base64url}",
        }
        compared = 0
        for message_id, kind, peer, url_part in vectors.peer_rows():
            if kind != "mailer" or peer not in templates:
                continue
            link = Permalink("devel@lists.example.org", "", message_id, Algorithm.MD5, "", "", DATE)
            self.assertEqual(expand(templates[peer], link), "https://a/" + url_part)
            compared += 1
        self.assertGreater(compared, 200)

    def test_dates(self):
        for date, want in vectors.dates():
            with self.subTest(date):
                self.assertEqual("-".join(year_and_month(date) or ()) or None, want)

    def test_without_a_date_there_is_no_url(self):
        with self.assertRaises(NoDate):
            expand("https://a/{year}/{md5}", Permalink("l@h", "", ID, Algorithm.MD5, "", "", b"today"))

    def test_wrong_templates_say_what_to_write(self):
        for template, hint in (
            ("https://a/{sha512}", "the placeholders are md5, sha1"),
            ("https://a/{md5:path}", "the forms of {md5} are base32, base64url, hex"),
            ("https://a/{md5:}", "the forms of {md5} are"),
            ("https://a/{message_id:hex}", "the forms of {message_id} are path, query"),
            ("https://a/{list(host)}", "{list} is no digest"),
            ("https://a/{sha1()}", "what is digested"),
            ("https://a/{sha1(message_id, list)}", "without spaces"),
            ("https://a/{sha1(message_id}", "what is digested"),
            ("https://a/{sha1(year)}", "of message_id, list"),
            ("https://a/{md5", "brace"),
            ("https://a/md5}", "brace"),
            ("ftp://a/{md5}", "absolute http"),
            ("/list/{md5}", "absolute http"),
            ("https://{host}/{md5}", "absolute http"),
        ):
            with self.subTest(template), self.assertRaisesRegex(ValueError, hint):
                check(template)


if __name__ == "__main__":
    unittest.main()
