import unittest

from permalink_milter_archiver.message_id import Algorithm, message_hash
from permalink_milter_archiver.template import Permalink, check, expand

ID = b"abc@example.org"
MD5 = message_hash(Algorithm.MD5, ID)
LINK = Permalink("devel@lists.example.org", "devel.lists.example.org", ID, Algorithm.MD5, MD5 + "-2")


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
        ):
            with self.subTest(template):
                self.assertEqual(expand(check(template), LINK), "https://a/" + want)

    def test_values_are_encoded_for_a_path_segment(self):
        odd = Permalink("l@h", "", b"a/b?c#d%e<f>\xfc \"~!$&'()*+,;=:@-._", Algorithm.MD5, "")
        want = "https://a/a%2Fb%3Fc%23d%25e%3Cf%3E%FC%20%22~!$&'()*+,;=:@-._/"
        self.assertEqual(expand("https://a/{message_id}/", odd), want)

    def test_wrong_templates_say_what_to_write(self):
        for template, hint in (
            ("https://a/{sha512}", "the placeholders are md5, sha1"),
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
