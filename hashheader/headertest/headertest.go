// Package headertest has messages with odd header sections, for tests that
// compare readers of messages, and a second implementation of the rule by which
// they are read.
//
// # How to use it
//
// [Testdata] returns the messages of the folder testdata, [Bounds] those at the
// bounds of a header section, and [Generate] any number of others, the same for
// the same seed. [Read] reads a message's header section as an MTA does and
// hands over its fields as a milter gets them.
package headertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"permalink-milter/hashheader/vectors"
)

// A Message is one test message.
type Message struct {
	Name string
	Data []byte
}

// Testdata returns the messages of a folder testdata: those of its header and
// messages folders, and the header sections of its vectors.
func Testdata(dir string) ([]Message, error) {
	all, err := vectors.Load(dir)
	if err != nil {
		return nil, err
	}
	var out []Message
	for _, v := range all {
		out = append(out, Message{"vectors/" + v.Name, v.Header})
	}
	for _, pattern := range []string{"header/*.eml", "messages/maildir/*/*", "messages/tree/*/*/*", "messages/*.mbox*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("no files %s in %s: %w", pattern, dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, ".gz") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			out = append(out, Message{strings.TrimPrefix(file, dir+"/"), data})
		}
	}
	return out, nil
}

// plain are the fields of a message that is not odd.
const plain = "From: A <a@example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\nTo: devel@lists.example.org\n"

// Bounds returns messages at the bounds of a header section and of a
// Message-ID: one under, on and over each.
func Bounds() (out []Message) {
	const id = "Message-ID: <x@y>\n"
	for _, n := range []int{1999, 2000, 2001} {
		fields := strings.Repeat("X: y\n", n-strings.Count(plain+id, "\n"))
		out = append(out, Message{fmt.Sprintf("%d fields", n), []byte(plain + fields + id + "\nbody\n")})
	}
	for _, n := range []int{997, 998, 999, 1000} {
		long := strings.Repeat("x", n-2) + "@y"
		out = append(out, Message{fmt.Sprintf("an id of %d octets", n), []byte("Message-ID: <" + long + ">\n" + plain + "\n")},
			Message{fmt.Sprintf("a folded id of %d octets", n), []byte("Message-ID: <" + long[:500] + "\r\n\t" + long[500:] + ">\n" + plain + "\n")},
			Message{fmt.Sprintf("an id of %d octets without brackets", n), []byte("Message-ID: " + long + "\n" + plain + "\n")},
			Message{fmt.Sprintf("an id of %d octets before another", n), []byte("Message-ID: <" + long + ">\n" + id + plain + "\n")},
			Message{fmt.Sprintf("an id of %d octets behind another", n), []byte(id + "Message-ID: <" + long + ">\n" + plain + "\n")})
	}
	long := strings.Repeat("no field ", 300_000)
	out = append(out, Message{"a line of more than 2 MiB that ends the section", []byte(plain + id + long + "\nbody\n")})
	return append(out, sizes(plain+id)...)
}

// sizes returns messages whose header section has 1 MiB, give or take a byte,
// as an MTA hands it to a milter: neither colons, nor the space behind them,
// nor line ends count, but that of a fold does.
func sizes(fields string) (out []Message) {
	size := len(fields) - len(": \n")*strings.Count(fields, "\n")
	for _, more := range []int{-1, 0, 1} {
		room := 1<<20 - size + more
		for _, eol := range []string{"\n", "\r\n", "\r\r\n"} {
			long := "X: " + strings.Repeat("y", room-1) + "\n"
			folded := "X: y" + strings.Repeat("\n "+strings.Repeat("y", 998), (room-2)/1000)
			folded += strings.Repeat("y", room-2-(room-2)/1000*1000) + "\n"
			for name, field := range map[string]string{"in one line": long, "in folds": folded} {
				text := strings.ReplaceAll(field+fields+"\nbody\n", "\n", eol)
				out = append(out, Message{fmt.Sprintf("1 MiB and %d bytes %s, lines end in %q", more, name, eol), []byte(text)})
			}
		}
	}
	return out
}
