package mtatest

import (
	"net"
	"strings"
	"testing"
	"time"
)

const halfOfSigterm = common + "Message-ID: <sigterm@example.org>\r\nX-Half: 1\r\n"

// half sends the first half of a message's data.
func half(t *testing.T, addr string) *client {
	t.Helper()
	ctx := limit(t)
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := newClient(ctx, conn)
	if err := c.greet(); err != nil {
		t.Fatal(err)
	}
	for _, line := range envelope(Mail{From: "a@example.org", To: []string{"devel@lists.example.org"}}) {
		if err := c.command(250, line); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.command(354, "DATA"); err != nil {
		t.Fatal(err)
	}
	// The next Flush reports the error.
	_, _ = c.w.WriteString(halfOfSigterm)
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	return c
}

// untilRefusing waits until nobody listens at an address.
func untilRefusing(t *testing.T, addr string) {
	t.Helper()
	_, address, _ := strings.Cut(addr, "inet:")
	for ctx := limit(t); ; time.Sleep(5 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if ctx.Err() != nil {
			t.Fatal("the daemon still listens")
		}
		if err != nil {
			return
		}
		conn.Close()
	}
}

// sigtermInMidMessage ends the daemon while a client is in the middle of a message. It is given time to finish; when
// that is over the client gets a temporary failure.
func sigtermInMidMessage(t *testing.T, s site) {
	for name, patient := range map[string]bool{"that ends in time": true, "that takes too long": false} {
		t.Run(name, func(t *testing.T) {
			s.sink.Reset()
			c := half(t, s.mta.Remote())
			stopped := make(chan error, 1)
			go func() { stopped <- s.daemon.Stop() }()
			untilRefusing(t, s.daemon.wait[0])
			if !patient {
				if err := <-stopped; err != nil {
					t.Fatal(err)
				}
			}
			err := c.command(250, "X-Half: 2\r\n\r\nhello\r\n.")
			if patient {
				if stop := <-stopped; err != nil || stop != nil {
					t.Fatalf("reply %v, daemon %v", err, stop)
				}
			} else if !isReply(err, 451) {
				t.Errorf("want a 451, got %v", err)
			}
			if err := s.daemon.Restart(limit(t)); err != nil {
				t.Fatal(err)
			}
			if !patient {
				again := Mail{From: "a@example.org", To: []string{"devel@lists.example.org"}, Data: []byte(halfOfSigterm + "X-Half: 2\r\n\r\nhello\r\n")}
				if err := SendUntilAccepted(limit(t), s.mta.Remote(), 1, again); err != nil {
					t.Fatal(err)
				}
			}
			wait(t, s.sink, 1)
			if err := untilEmpty(t, s.mta); err != nil {
				t.Fatal(err)
			}
			messages := s.sink.Messages()
			if len(messages) != 1 {
				t.Errorf("%d messages arrived", len(messages))
			}
			if m := messages[0]; checkStamped(t, m) == "" || len(m.Raw("X-Half")) != 2 {
				t.Errorf("half a message arrived:\n%s", m.Data)
			}
		})
	}
}
