package lmtp

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
)

// A box is a Delivery that keeps messages in memory.
type box struct {
	mu   sync.Mutex
	kept []string
}

func (*box) prepare() error                { return nil }
func (*box) settle(parcel)                 {}
func (*box) unsettled(string, string) bool { return false }
func (*box) down() *smtp.SMTPError         { return unavailable("box") }
func (*box) spool() (*os.File, error)      { return unnamedFile() }
func (*box) close()                        {}

func (b *box) stage(p parcel) (staged, error) { return boxed{b, p}, nil }

// boxed is a message for a box.
type boxed struct {
	*box
	parcel
}

func (boxed) discard() {}

func (b boxed) deliver(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, err := io.ReadAll(b.message.reader())
	b.kept = append(b.kept, string(content))
	return err
}

// lineEnds are all sequences of CR and LF up to n.
func lineEnds(n int) (all []string) {
	all = []string{""}
	for from := 0; n > 0; n-- {
		to := len(all)
		for _, shorter := range all[from:to] {
			all = append(all, shorter+"\r", shorter+"\n")
		}
		from = to
	}
	return all
}

// endOfData is the rule: a line of one dot. The line ends are one or more CRs
// and an LF.
var endOfData = regexp.MustCompile(`\r\n\.\r+\n`)

// received returns what is left of data, by the rule, and what follows them.
func received(data string) (message, rest string) {
	data = regexp.MustCompile(`\r+\n`).ReplaceAllString(data, "\r\n")
	end := endOfData.FindStringIndex(data)
	message = data[:end[0]+2]
	return strings.ReplaceAll(message, "\r\n.", "\r\n"), data[end[1]:]
}

func TestOnlyALineOfOneDotEndsData(t *testing.T) {
	b := &box{}
	s := start(t, func(o *Options) { o.Domains[0].Delivery = b })
	c := s.dial(t)
	c.line()
	c.talk("LHLO c")
	number := 0
	for _, before := range lineEnds(4) {
		for _, after := range lineEnds(4) {
			number++
			// What follows is a command if the data end before it, else it is
			// smuggled if it is taken for one.
			head := fmt.Sprintf("Message-ID: <%d@example.org>\r\nDate: x\r\n\r\ntext", number)
			data := head + before + "." + after + "NOOP\r\n.\r\n"
			message, rest := received(data)
			hash, _ := hashheader.MD5.Hash([]byte(fmt.Sprintf("%d@example.org", number)))
			c.talk("MAIL FROM:<a@example.org>", "RCPT TO:<"+hash+"@archive.example.org>", "DATA")
			io.WriteString(c, data)
			expect(t, c.reply(), "250 2.1.5 ")
			if got := b.kept[len(b.kept)-1]; got != message || len(b.kept) != number {
				t.Fatalf("%q . %q: %d messages, the last one\n%q, want\n%q", before, after, len(b.kept), got, message)
			}
			// The dot left over is a command that go-smtp does not know; four of
			// them end a session.
			for command := range strings.Lines(rest) {
				expect(t, c.reply(), map[bool]string{true: "250 2.0.0 I have", false: "5"}[command == "NOOP\r\n"])
			}
			if rest != "" {
				c.Close()
				c = s.dial(t)
				c.line()
				c.talk("LHLO c")
			}
		}
	}
}

// Data that come in one piece with their DATA command, and with what follows
// them, are the same data.
func TestPipelinedEndOfData(t *testing.T) {
	for _, lineEnd := range []string{"\r\n", "\r\r\n", "\r\r\r\n"} {
		b := &box{}
		s := start(t, func(o *Options) { o.Domains[0].Delivery = b })
		c := s.dial(t)
		data := strings.ReplaceAll(message1(aliceID), "\r\n", lineEnd) + "." + lineEnd
		other := strings.ReplaceAll(message1(aliceID), "hello", "another") + ".\r\n"
		io.WriteString(c, "LHLO c\r\nMAIL FROM:<a@example.org>\r\n"+recipient1+"\r\nDATA\r\n"+data+
			"MAIL FROM:<a@example.org>\r\nRCPT TO:<"+hash+"-2@archive.example.org>\r\ndata\r\n"+other+"QUIT\r\n")
		c.line()
		c.reply()
		for _, want := range []string{"250 ", "250 ", "354 ", "250 2.1.5 ", "250 ", "250 ", "354 ", "250 2.1.5 ", "221 "} {
			expect(t, c.reply(), want)
		}
		if len(b.kept) != 2 || b.kept[0] != message1(aliceID) {
			t.Errorf("%q: kept %q", lineEnd, b.kept)
		}
	}
}

func TestChunksAreNotData(t *testing.T) {
	b := &box{}
	s := start(t, func(o *Options) { o.Domains[0].Delivery = b })
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1)
	text := message1(aliceID) + "DATA\r\na\r\r\n.\r\n\r\n.\r\r\n.\rb\r\n.\r\nDATA\n354 \r\r"
	for _, chunk := range []string{text[:len(text)-9], text[len(text)-9:]} {
		fmt.Fprintf(c, "BDAT %d\r\n%s", len(chunk), chunk)
		expect(t, c.reply(), "250 ")
	}
	io.WriteString(c, "BDAT 0 LAST\r\n")
	expect(t, c.reply(), "250 2.1.5 ")
	if len(b.kept) != 1 || b.kept[0] != text {
		t.Errorf("kept %q, sent %q", b.kept, text)
	}
	expect(t, c.talk("NOOP")[0], "250 ")
}

func TestARefusedDATACommandBeginsNoData(t *testing.T) {
	s := start(t, nil)
	c := s.dial(t)
	c.line()
	io.WriteString(c, "LHLO c\r\nDATA\r\nNOOP\r\nDATA x\r\nNOOP\r\n")
	c.reply()
	for _, want := range []string{"502 ", "250 ", "501 ", "250 "} {
		expect(t, c.reply(), want)
	}
}

func TestManyCRs(t *testing.T) {
	b := &box{}
	s := start(t, func(o *Options) { o.Domains[0].Delivery = b })
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1, "DATA")
	expect(t, c.talk(message1(aliceID) + strings.Repeat("\r", maxLine-10) + "\r\n.")[0], "250 2.1.5 ")
	if len(b.kept) != 1 || b.kept[0] != message1(aliceID)+"\r\n" {
		t.Errorf("%d messages", len(b.kept))
	}
	c.talk("MAIL FROM:<a@example.org>", recipient1, "DATA")
	go io.WriteString(c, message1(aliceID)+strings.Repeat("\r", 3*maxLine))
	expect(t, c.reply(), "554 5.6.0 ")
}

func TestRepliesHaveNoControlCharacters(t *testing.T) {
	s := start(t, nil)
	c := s.dial(t)
	c.line()
	if got := c.talk("\x1b[2J now")[0]; got != "500 5.5.2 Syntax errors, ?[2J command unrecognized" {
		t.Errorf("%q", got)
	}
}
