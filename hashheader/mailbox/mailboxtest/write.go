package mailboxtest

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	fromLines   = regexp.MustCompile(`(?m)^From `)
	dated       = regexp.MustCompile(`(?m)^From .*:\d\d \d{4}$`)
	quotedLines = regexp.MustCompile(`(?m)^>*From `)
)

func asItIs(body string) string { return body }

// quoteO quotes each line that begins with "From ".
func quoteO(body string) string { return fromLines.ReplaceAllString(body, ">From ") }

// quoteNeeded quotes those alone that would begin a message, and leaves prose.
func quoteNeeded(body string) string { return dated.ReplaceAllString(body, ">$0") }

// quoteRD quotes quoted lines, too.
func quoteRD(body string) string { return quotedLines.ReplaceAllString(body, ">$0") }

func bom(mbox []byte) []byte { return append([]byte("\xef\xbb\xbf"), mbox...) }

func crlf(mbox []byte) []byte { return bytes.ReplaceAll(mbox, []byte("\n"), []byte("\r\n")) }

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // a valid level
	_, _ = z.Write(data)                            // a Buffer takes all
	_ = z.Close()
	return b.Bytes()
}

// members returns gzip data of members that end anywhere, with padding.
func members(data []byte) []byte {
	var out []byte
	for part := range slices.Chunk(data, 100_003) {
		out = append(out, gzipped(part)...)
	}
	return append(out, make([]byte, 512)...)
}

func zstded(data []byte) []byte {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		panic(err) // the options are valid
	}
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}
