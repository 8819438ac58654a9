package mailbox_test

import (
	"bytes"
	"strings"
	"testing"

	"permalink-milter/hashheader/mailbox"
)

// FuzzMap feeds junk to each format. Whatever it is, it ends, and each
// message lies within the input.
func FuzzMap(f *testing.F) {
	for _, text := range []string{one, sep + one + sep + two, crlf(sep + one), sep + cl(5, "body\n") + sep + two, zip(one), zst(sep + one), "\x1f\x8b", "From \n:", "\n\nF"} {
		f.Add([]byte(text), uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		format, err := mailbox.ParseFormat(mailbox.Formats[int(n)%len(mailbox.Formats)])
		if err != nil {
			t.Fatal(err)
		}
		plain := !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) && !bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd})
		index := 0
		for m := range mailbox.Map(t.Context(), []string{"-"}, mailbox.Options{Format: format, Stdin: bytes.NewReader(data)}, same) {
			if plain && (m.Offset < 0 || m.Offset > int64(len(data))) {
				t.Errorf("offset %d of %d bytes", m.Offset, len(data))
			}
			if m.Index > 0 && m.Err == nil && m.Index != index+1 {
				t.Errorf("message %d behind %d", m.Index, index)
			}
			index = max(index, m.Index)
		}
	})
}

func same(m *mailbox.Message) *mailbox.Message { return m }

// FuzzBlocks reads an mbox whose messages are pushed about by the size of the
// first one's body: wherever a block ends, the messages are the same.
func FuzzBlocks(f *testing.F) {
	f.Add("body\n", 524100)
	f.Add("From here\n\n"+sep, 524200)
	f.Fuzz(func(t *testing.T, body string, size int) {
		text := sep + one + strings.Repeat("x", min(max(size, 0), 1<<20)) + "\n" + sep + two + body + "\n" + sep + one
		var ids []string
		for m := range mailbox.Map(t.Context(), []string{"-"}, mailbox.Options{Format: mailbox.MboxO, Stdin: strings.NewReader(text)}, same) {
			ids = append(ids, string(messageID(m.Header)))
		}
		if len(ids) < 3 || ids[0] != "1@x" || ids[1] != "2@x" || ids[len(ids)-1] != "1@x" {
			t.Errorf("%q", ids)
		}
	})
}
