package lmtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

// replyLine is one line of a reply (RFC 5321, section 4.2), without its line
// end and cut to maxReply.
var replyLine = regexp.MustCompile(`^[2-5][0-9]{2}[ -][^\x00-\x08\x0a-\x1f\x7f]{0,996}$`)

// maxPiece is how long a session's input must be to be sent in more than two
// pieces.
const maxPiece = 64 << 10

// FuzzSession sends any bytes in any pieces. The server must answer what it
// gets by well-formed replies, end when the client has nothing more to say,
// and keep exactly the messages that it says are archived.
func FuzzSession(f *testing.F) {
	for _, session := range transcripts(f) {
		f.Add([]byte(session), uint8(0))
		f.Add([]byte(session), uint8(7))
	}
	envelope := "LHLO c\r\nMAIL FROM:<a@example.org>\r\n" + recipient1 + "\r\n"
	f.Add([]byte(envelope+"DATA\r\n"+message1(aliceID)+"\r\r\n.\r\r\nRSET\r\n"), uint8(1))
	f.Add([]byte(envelope+"BDAT 20\r\n"+message1(aliceID)[:20]+"BDAT 5 LAST\r\nhelloQUIT\r\n"), uint8(3))
	f.Add([]byte(envelope+"BDAT 4\r\nDATADATA\r\nRSET\r\nBDAT 9999999\r\n"), uint8(2))
	f.Add([]byte("LHLO \x1b[0m\r\nMAIL FROM:<\"a b\"@c> SIZE=1\r\nVRFY x\r\nSTARTTLS\r\nAUTH PLAIN\r\n\r\nx\r\n"), uint8(5))
	f.Add([]byte("LHLO "+strings.Repeat("c", 1000)+"\r\nLHLO c\r\nMAIL FROM:<"+strings.Repeat("a", 1000)+"@b>\r\nRCPT TO:<"+strings.Repeat("a", 1000)+"@b>\r\n"), uint8(0))
	f.Fuzz(func(t *testing.T, input []byte, piece uint8) {
		if len(input) > maxPiece {
			t.Skip("long input says nothing new")
		}
		b := &box{}
		said := converse(t, b, pieces(input, int(piece)))
		archived := 0
		for line := range strings.SplitSeq(strings.TrimSuffix(said, "\r\n"), "\r\n") {
			if !replyLine.MatchString(line) {
				t.Errorf("not a reply: %q", line)
			}
			if strings.HasPrefix(line, "250 2.1.5 ") && strings.Contains(line, "> Archived as <") {
				archived++
			}
		}
		if archived != len(b.kept) {
			t.Errorf("kept %d messages, said so of %d:\n%s", len(b.kept), archived, said)
		}
	})
}

// transcripts are the clients' parts of the transcripts.
func transcripts(f *testing.F) (sessions []string) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			if words, ok := strings.CutPrefix(strings.TrimSpace(line), "C:"); ok {
				said.WriteString(strings.TrimPrefix(words, " ") + "\r\n")
			}
		}
		sessions = append(sessions, said.String())
	}
	return sessions
}

// pieces cuts input after each size bytes; 0 leaves it whole.
func pieces(input []byte, size int) (all [][]byte) {
	for size > 0 && len(input) > size && len(all) < 1000 {
		all = append(all, input[:size])
		input = input[size:]
	}
	return append(all, input)
}

// converse sends the pieces to a new server and returns all that it says.
func converse(t *testing.T, b *box, input [][]byte) string {
	o := options("", registry.New(memreg.New(), registry.Options{}))
	o.Domains = o.Domains[:1]
	o.Domains[0].Delivery = b
	server, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	// What the server wrote before it hung up stays readable, which is not so
	// with TCP.
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	defer func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	}()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		for _, piece := range input {
			nc.Write(piece) // the server may have hung up
		}
		nc.(*net.UnixConn).CloseWrite()
	}()
	var said bytes.Buffer
	if _, err := io.Copy(&said, nc); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the server does not end: %v", err)
	}
	return said.String()
}
