package milter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/milter/miltertest"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

// A replay is an MTA that sends the same bytes for each message and only
// looks for the end of the replies, so that what a run costs is the server's.
type replay struct {
	conn    net.Conn
	message []byte
	room    [4096]byte
}

// replayer connects to a server of its own on a unix socket, which logs at
// level info.
func replayer(t testing.TB, fields int) *replay {
	t.Helper()
	s := milter.NewServer(milter.Options{Policy: stamptest.Policy(t, nil), Reserve: registry.New(memreg.New(), registry.Options{}).Reserve,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), IdleTimeout: time.Minute,
		MessageBudget: 5 * time.Second, MaxHeaderFields: 1000, MaxHeaderBytes: 1 << 20})
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	c, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &replay{conn: c, message: listMessage(fields)}
	c.Write(miltertest.Negotiation{Version: 6, Actions: 0x1ff, Protocol: 0x1fffff}.Packet().Append(nil))
	if _, err := miltertest.Read(c); err != nil {
		t.Fatal(err)
	}
	return r
}

// listMessage is what an MTA sends of a list message with a forged hash, where
// MAIL, RCPT and fields want no reply.
func listMessage(fields int) (out []byte) {
	header := stamptest.Header(abc, "Message-ID-MD5: FORGED", "Date: Tue, 24 Nov 2026 11:00:00 +0000", listID, "From: Alice <alice@example.org>")
	for n := len(header); n < fields; n++ {
		header = append(header, hashheader.Field{Name: fmt.Sprintf("X-Field-%d", n), Value: strings.Repeat("value ", 10)})
	}
	put := func(code byte, parts ...string) {
		out = miltertest.Packet{Code: code, Data: []byte(strings.Join(parts, "\x00") + "\x00")}.Append(out)
	}
	put('D', "Mi", "4XyZabc123")
	put('M', "<devel-bounces@lists.example.org>")
	put('R', "<bob@example.net>")
	for _, f := range header {
		put('D', "Li", "4XyZabc123") // as Postfix does
		put('L', f.Name, f.Value)
	}
	put('D', "Ei", "4XyZabc123")
	return miltertest.Packet{Code: 'E'}.Append(out)
}

// run plays a message.
func (r *replay) run(t testing.TB) {
	if _, err := r.conn.Write(r.message); err != nil {
		t.Fatal(err)
	}
	end := []byte{0, 0, 0, 1, 'c'}
	for n := 0; ; {
		got, err := r.conn.Read(r.room[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += got; bytes.HasSuffix(r.room[:n], end) {
			return
		}
	}
}

func BenchmarkSession(b *testing.B) {
	for _, fields := range []int{5, 20, 100} {
		b.Run(fmt.Sprint(fields, "_fields"), func(b *testing.B) {
			r := replayer(b, fields)
			b.ReportAllocs()
			for b.Loop() {
				r.run(b)
			}
		})
	}
}

// checkAllocations holds a hot path to a bound a little above what it takes, so
// that a waste is seen. The race detector makes sync.Pool forget, and the number
// vary.
func checkAllocations(t *testing.T, most float64, run func()) {
	t.Helper()
	if raceDetector() {
		t.Skip("allocations vary under the race detector")
	}
	if got := testing.AllocsPerRun(500, run); got > most {
		t.Errorf("%v allocations, more than %v: find what allocates more", got, most)
	}
}

// raceDetector reports whether the test was built with -race.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestAllocationsOfAMessage(t *testing.T) {
	for fields, want := range map[int]float64{5: 90, 20: 90} {
		t.Run(fmt.Sprint(fields, " fields"), func(t *testing.T) {
			r := replayer(t, fields)
			r.run(t) // the reservation is made once
			checkAllocations(t, want, func() { r.run(t) })
		})
	}
}

// held answers as a registry does that knows the message.
func held(r registry.Request) (registry.Result, error) {
	return registry.Result{Reservation: registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1, State: registry.Reserved}, Outcome: registry.Held}, nil
}

func TestAllocationsOfADecision(t *testing.T) {
	p := stamptest.Policy(t, nil)
	for name, c := range map[string]struct {
		header hashheader.Header
		want   float64
	}{
		"stamped":   {stamptest.Header(abc, listID), 30},
		"unchanged": {stamptest.Header(abc, listID, "Message-ID-MD5: "+abcHash, "Archived-At: <"+abcURL+abcHash+">"), 27},
		"no list":   {stamptest.Header(abc), 12},
	} {
		t.Run(name, func(t *testing.T) {
			m := &stamp.Message{Header: c.header}
			checkAllocations(t, c.want, func() { stamp.Decide(m, p, held) })
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	p, m := stamptest.Policy(b, nil), &stamp.Message{Header: stamptest.Header(abc, listID, "Message-ID-MD5: FORGED")}
	b.ReportAllocs()
	for b.Loop() {
		stamp.Decide(m, p, held)
	}
}
