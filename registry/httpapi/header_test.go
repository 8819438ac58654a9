package httpapi

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
)

func TestReadHeader(t *testing.T) {
	abc := hashheader.Header{{Name: "A", Value: " b"}, {Name: "C", Value: "\n d\n\te"}}
	for name, c := range map[string]struct {
		text string
		want hashheader.Header
	}{
		"line ends of LF":                       {"A: b\nC:\n d\n\te\n\nX: y\n", abc},
		"line ends of CRLF":                     {"A: b\r\nC:\r\n d\r\n\te\r\n\r\nX: y\r\n", abc},
		"no end":                                {"A: b\nC:\n d\n\te", abc},
		"an mbox line before it":                {"From a@b Tue Nov 24 10:00:00 2026\nA: b\nC:\n d\n\te\n", abc},
		"empty lines before it":                 {"\n\r\nA: b\nC:\n d\n\te\n", abc},
		"a line that is no field ends it":       {"A: b\nC:\n d\n\te\n<html>\nX: y\n", abc},
		"an mbox line in it ends it":            {"A: b\nC:\n d\n\te\nFrom x\nX: y\n", abc},
		"a space before the colon is kept":      {"A : b\n", hashheader.Header{{Name: "A ", Value: " b"}}},
		"raw bytes are kept":                    {"A:\xff\n", hashheader.Header{{Name: "A", Value: "\xff"}}},
		"a name with a space is none":           {"A b: c\n", nil},
		"nothing":                               {"", nil},
		"a fold before the first field is none": {" a\nA: b\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readHeader(strings.NewReader(c.text))
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

// Whatever is sent, reading it again as it would be written gives the same.
func FuzzReadHeader(f *testing.F) {
	f.Add([]byte("From x\nA: b\r\n c\n\nd"))
	f.Add([]byte("Message-ID:\n <a@b>\nMessage-ID : x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readHeader(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		for _, field := range h {
			b.WriteString(field.Name + ":" + field.Value + "\n")
		}
		again, err := readHeader(&b)
		if diff := cmp.Diff(h, again); diff != "" || err != nil {
			t.Error(err, diff)
		}
	})
}

// A string that grows fold by fold is copied each time: one request of 1 MiB
// would keep a core busy for minutes.
func TestReadHeaderOfManyFoldsTakesNoMoreThanItsSize(t *testing.T) {
	text := "A: b\n" + strings.Repeat(" \n", 100_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h, err := readHeader(strings.NewReader(text))
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != nil || len(h) != 1 || len(h[0].Value) != len(text)-len("A:\n") || got > 40<<20 {
		t.Errorf("%d fields, %v, %d MiB were allocated", len(h), err, got>>20)
	}
}
