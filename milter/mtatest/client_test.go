package mtatest

import (
	"context"
	"net"
	"strings"
	"testing"
)

// TestListFieldsCountFromTheNamedClients sends postmaster a message with a
// forged List-Post: whoever may not write it makes no reservation by it. Postfix
// takes the client from XCLIENT, so that clients may be anywhere.
func TestListFieldsCountFromTheNamedClients(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			var o Options
			if k.name == postfixKind.name {
				o.ExtraMain = []string{"smtpd_authorized_xclient_hosts = 127.0.0.0/8", "mynetworks = static:all"}
			}
			s := startSite(t, k, o, `list_fields_from = ["203.0.113.0/24", "authenticated"]`)
			s.forgesListPost(t, "", false)
			m := s.deliver(t, "a@example.org", []string{"devel@lists.example.org"}, plain+"To: devel@lists.example.org\r\nList-Id: <other.lists.example.org>\r\n")
			checkStamped(t, m)
			if k.name == postfixKind.name {
				s.forgesListPost(t, "ADDR=198.51.100.1", false)
				s.forgesListPost(t, "ADDR=203.0.113.1", true)
				s.forgesListPost(t, "ADDR=198.51.100.1 LOGIN=alice", true)
			}
			if err := s.daemon.WriteConfig(daemonConfig(s.daemon.dir, s.daemon.wait[0], `list_fields_from = ["127.0.0.0/8", "::1"]`)); err != nil {
				t.Fatal(err)
			}
			if err := s.daemon.Restart(limit(t)); err != nil {
				t.Fatal(err)
			}
			s.forgesListPost(t, "", true)
		})
	}
}

// forgesListPost sends the message as a client, "" for this host, and wants it
// to count or not.
func (s site) forgesListPost(t *testing.T, client string, counts bool) {
	t.Helper()
	s.sink.Reset()
	mail := Mail{From: "a@example.org", To: []string{"postmaster@example.org"},
		Data: []byte(plain + "To: postmaster@example.org\r\nList-Post: <mailto:devel@lists.example.org>\r\n\r\nhello\r\n")}
	if err := sendAs(limit(t), s.mta.Remote(), client, mail); err != nil {
		t.Fatal(err)
	}
	m := wait(t, s.sink, 1)[0]
	if got := m.Raw("Archived-At"); (len(got) == 1) != counts || len(m.Raw("Message-ID-MD5")) != 1 {
		t.Errorf("client %q: Archived-At %q", client, got)
	}
	if !counts && !strings.Contains(s.daemon.Stderr(), "List-Id and List-Post do not count from this client") {
		t.Error("the log does not say why")
	}
}

// sendAs sends one mail as if from another client (XCLIENT of Postfix).
func sendAs(ctx context.Context, addr, client string, m Mail) error {
	if client == "" {
		return Send(ctx, addr, m)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := newClient(ctx, conn)
	if err := c.greet(); err != nil {
		return err
	}
	if err := c.command(220, "XCLIENT "+client); err != nil {
		return err
	}
	if err := c.command(250, "EHLO client.example.net"); err != nil {
		return err
	}
	if err := c.mail(m, nil); err != nil {
		return err
	}
	return c.command(221, "QUIT")
}
