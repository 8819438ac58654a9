package miltertest_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/miltertest"
)

func TestParseNamesEachWrongLine(t *testing.T) {
	_, err := miltertest.Parse("frobnicate\nnegotiate x\n\nraw 0g\nsplit x\nstall x\nrepeat x\nconnect a\nmacro\npacket ab x\nheader A: \\q\n# fine\nquit\n")
	for _, want := range []string{"line 1: ", "line 2: ", "line 4: ", "line 5: ", "line 6: ", "line 7: ", "line 8: ", "line 9: ", "line 10: ", "line 11: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "line 13") {
		t.Errorf("a good line is wrong: %v", err)
	}
}

// FuzzParse finds texts that do not end in a script or an error.
func FuzzParse(f *testing.F) {
	f.Add("negotiate 6 0x1ff 0x0\nmacro M i=1\nconnect a 4 25 b\nheader A: \\x00\\n\nraw 00\nrepeat 2\neom\nexpect close\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := miltertest.Parse(text); err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("an error without its line: %v", err)
		}
	})
}

func TestRunNamesTheLineWhoseReplyDidNotCome(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"another reply":    {"negotiate 6 0x1ff 0x0\nexpect negotiated 5 0x0 0x0\n", "line 2: got negotiated 6 0x111 0x0"},
		"the end":          {"quit\nexpect continue\n", "line 2: got close, want continue"},
		"a reply too many": {"negotiate 6 0x1ff 0x0\n", "at the end: a reply too many: negotiated"},
	} {
		t.Run(name, func(t *testing.T) {
			script, err := miltertest.Parse(tc.script)
			if err != nil {
				t.Fatal(err)
			}
			err = script.Run(t.Context(), serve(t, nil).dial(t))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestReplyOfAPeerThatIsNoMilter(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "peer.sock")
	ln, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			c.Write([]byte("220 hello\r\n"))
			c.Close()
		}
	}()
	c, err := net.Dial("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := miltertest.Play(t.Context(), c, nil, 0); !errors.Is(err, miltertest.ErrFrame) {
		t.Errorf("got %v", err)
	}
}

// field is the data of an edit or a header field.
func field(name, value string) string { return name + "\x00" + value + "\x00" }

func TestCheckFindsWrongReplies(t *testing.T) {
	const hash = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	packet := func(code byte, data string) miltertest.Packet {
		return miltertest.Packet{Code: code, Data: []byte(data)}
	}
	offer := miltertest.Negotiation{Version: 6, Actions: 0x11, Protocol: 0x80}.Packet()
	stream := offer.Append(nil)
	for _, p := range []miltertest.Packet{packet('M', "<a>\x00"), packet('L', field("Message-ID", "<abc@example.org>")),
		packet('L', field("Message-ID-MD5", "A")), packet('L', field("Message-ID-MD5", "B")), packet('E', "")} {
		stream = p.Append(stream)
	}
	next := packet('c', "")
	add := packet('h', field("Message-ID-MD5", hash))
	remove1, remove2 := packet('m', "\x00\x00\x00\x01"+field("Message-ID-MD5", "")), packet('m', "\x00\x00\x00\x02"+field("Message-ID-MD5", ""))
	for name, tc := range map[string]struct {
		replies []miltertest.Packet
		want    string // none for what is right
	}{
		"right":                        {[]miltertest.Packet{offer, next, remove2, remove1, add, next}, ""},
		"no replies":                   {nil, "none"},
		"a bit that was not offered":   {[]miltertest.Packet{miltertest.Negotiation{Version: 6, Actions: 0x11, Protocol: 0x81}.Packet()}, "more than was offered"},
		"an action that is not needed": {[]miltertest.Packet{miltertest.Negotiation{Version: 6, Actions: 0x31}.Packet()}, "more than was offered"},
		"another version":              {[]miltertest.Packet{miltertest.Negotiation{Version: 2, Actions: 0x11}.Packet()}, "version 2"},
		"a refusal":                    {[]miltertest.Packet{offer, packet('t', "")}, "tempfail, want continue"},
		"a reply to a silent command":  {[]miltertest.Packet{offer, next, next, remove2, remove1, add, next}, "the message ends with"},
		"a reply too many":             {[]miltertest.Packet{offer, next, remove2, remove1, add, next, next}, "1 too many"},
		"deletions upwards":            {[]miltertest.Packet{offer, next, remove1, remove2, add, next}, "no such field"},
		"a field of others":            {[]miltertest.Packet{offer, next, packet('h', field("Subject", "x")), next}, "not of our fields"},
		"two fields in one":            {[]miltertest.Packet{offer, next, packet('h', field("Message-ID-MD5", hash+"\nX: y")), next}, "more than one field"},
		"another hash":                 {[]miltertest.Packet{offer, next, remove2, remove1, packet('h', field("Message-ID-MD5", "X")), next}, "want " + hash},
		"the body replaced":            {[]miltertest.Packet{offer, next, packet('b', "x"), next}, "want an edit"},
	} {
		t.Run(name, func(t *testing.T) {
			err := miltertest.Check(stream, tc.replies, 100, 10000)
			if (err == nil) != (tc.want == "") || err != nil && (!errors.Is(err, miltertest.ErrReply) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
