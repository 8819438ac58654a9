package hashheader_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"permalink-milter/hashheader"
)

func TestDisplay(t *testing.T) {
	for name, c := range map[string]struct{ value, want string }{
		"plain":                        {" Hello", "Hello"},
		"UTF-8, Q":                     {"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"},
		"ISO-8859-15":                  {"=?iso-8859-15?q?10_=A4?=", "10 €"},
		"ISO-2022-JP":                  {"Re: =?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?= [1]", "Re: 日本語 [1]"},
		"Shift_JIS":                    {"=?Shift_JIS?B?k/qWe4zq?=", "日本語"},
		"EUC-KR":                       {"=?EUC-KR?B?x9GxuQ==?=", "한국"},
		"GB18030":                      {"=?gb18030?B?1tDOxA==?=", "中文"},
		"KOI8-R":                       {"=?KOI8-R?B?8NLJ18XU?=", "Привет"},
		"windows-1251":                 {"=?windows-1251?B?z/Do4uXy?=", "Привет"},
		"a language behind the set":    {"=?iso-8859-1*de?Q?=FC?=", "ü"},
		"words on two lines":           {"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
		"a character in two words":     {"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"},
		"a fold with a tab":            {"one\r\n\ttwo", "one two"},
		"an unknown character set":     {"=?x-unknown?q?a?= b", "=?x-unknown?q?a?= b"},
		"a broken word":                {"=?utf-8?b?@@?=", "=?utf-8?b?@@?="},
		"an address":                   {"=?utf-8?q?J=C3=BCrgen?= <j@example.org>", "Jürgen <j@example.org>"},
		"raw 8-bit":                    {"gr\xfc\xdfe", `gr\xfc\xdfe`},
		"raw UTF-8":                    {"grüße", "grüße"},
		"an escape inside a word":      {"=?utf-8?q?=1B[31mred?=", `\u001b[31mred`},
		"a line end inside a word":     {"=?utf-8?q?a=0D=0ABcc:_x?=", `a\u000d\u000aBcc: x`},
		"an override inside a word":    {"=?utf-8?q?=E2=80=AEgpj.exe?=", `\u202egpj.exe`},
		"nothing":                      {" \r\n ", ""},
		"the first 16 KiB are decoded": {strings.Repeat(" ", 16<<10) + "x", ""},
	} {
		if got := hashheader.Display(c.value, 200); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDisplayIsCutBetweenCharacters(t *testing.T) {
	value := "=?utf-8?q?" + strings.Repeat("=C3=BC", 100) + "?="
	for limit := range 50 {
		got := hashheader.Display(value, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("%d bytes: %q", limit, got)
		}
	}
	if got := hashheader.Display(value, 10); got != "üüü…" {
		t.Errorf("got %q", got)
	}
	if got := hashheader.Display("1234567890", 10); got != "1234567890" {
		t.Errorf("got %q", got)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"grüße@example.org":        "grüße@example.org",
		"日本\u3000語":                "日本\u3000語",
		"non\u00a0breaking":        "non\u00a0breaking",
		"a\x1b[31mb\x07":           `a\u001b[31mb\u0007`,
		"\x00\x7f\r\n\t":           `\u0000\u007f\u000d\u000a\u0009`,
		"latin1-\xfc":              `latin1-\xfc`,
		"\ufffd stays":             "\ufffd stays",
		"\xed\xa0\x80":             `\xed\xa0\x80`,
		"\u202eevil\u2066":         `\u202eevil\u2066`,
		"\u202a\u202b\u202c\u202d": `\u202a\u202b\u202c\u202d`,
		"\u2067\u2068\u2069":       `\u2067\u2068\u2069`,
		"c1 \u009b31m":             `c1 \u009b31m`,
		"marks \u200e\u200f\u061c": `marks \u200e\u200f\u061c`,
		"hidden \u200b\U000e0041":  `hidden \u200b\ue0041`,
		"lines \u2028\u2029":       `lines \u2028\u2029`,
		"\ufeffmark":               `\ufeffmark`,
		"می\u200cخواهم":            "می\u200cخواهم",
		"👩\u200d💻":                 "👩\u200d💻",
	} {
		if got := hashheader.Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzDisplay(f *testing.F) {
	f.Add("=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", 20)
	f.Add("=?utf-8?q?=E2=80=AE?= \x1b[0m", 5)
	f.Fuzz(func(t *testing.T, value string, limit int) {
		got := hashheader.Display(value, limit)
		if len(got) > max(limit, 0) || hashheader.Printable(got) != got {
			t.Errorf("%q, %d: %q", value, limit, got)
		}
	})
}
