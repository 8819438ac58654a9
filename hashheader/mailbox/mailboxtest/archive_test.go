package mailboxtest_test

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader/mailbox"
	"permalink-milter/hashheader/mailbox/mailboxtest"
)

var messages = flag.Int("messages", 4000, "how many messages the archive has")

// A found is what was read of a message.
type found struct {
	source, id string
	err        error
}

// Every message of an archive of all kinds of mailboxes is found once, and none
// is invented. Make archive runs it with a million.
func TestEveryMessageIsFoundOnce(t *testing.T) {
	dir := t.TempDir()
	if err := mailboxtest.Write(dir, *messages, 1); err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, *messages)
	n, wrong := 0, 0
	var bytes int64
	o := mailbox.Options{Progress: func(n int) { bytes += int64(n) }, Wants: func(name []byte) bool { return strings.EqualFold(string(name), "Message-ID") }}
	begin := time.Now()
	for m := range mailbox.Map(t.Context(), []string{dir}, o, func(m *mailbox.Message) found { return found{m.Source, m.ID(), m.Err} }) {
		if n++; *messages >= 1e6 && n%1e5 == 0 {
			t.Logf("%d messages, %.1f s, %d MB of heap", n, time.Since(begin).Seconds(), heap())
		}
		number := -1
		fmt.Sscanf(m.id, "%d@", &number)
		switch {
		case m.err == nil && number >= 0 && number < len(seen) && m.id == mailboxtest.ID(number) && !seen[number]:
			seen[number] = true
		case wrong < 20:
			t.Errorf("%s: %q: %v: it is none of the archive's, or was found before", m.source, m.id, m.err)
			fallthrough
		default:
			wrong++
		}
	}
	for number, ok := range seen {
		if !ok && wrong < 40 {
			t.Errorf("%s was not found", mailboxtest.ID(number))
			wrong++
		}
	}
	t.Logf("%d messages of %d kinds, %d MB as stored, %.1f s, %d MB of heap", n, mailboxtest.Kinds, bytes/1e6, time.Since(begin).Seconds(), heap())
}

// heap returns the megabytes that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse / 1e6
}
