package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"permalink-milter/registry/lmtp"
)

// limitFiles makes the daemon start with a limit of open files.
func limitFiles(n int) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, n), c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}
}

// Strangers hold as many connections as they can, those of LMTP each with a
// message that is so large that it is in a file. MTAs still have all their own.
func TestStrangersLeaveTheMilterItsDescriptors(t *testing.T) {
	const mtas = 20
	web, archive := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	p := start(t, fmt.Sprintf("[milter]\nlisten = [\"unix:DIR/s\"]\nmax_connections = %d\n"+
		"[http]\nlisten = %q\n"+lmtpTable+"listen = %q\n", mtas, web, archive)+archiveTable, limitFiles(256))
	p.log.wait(t, "the limit of open files is too low for all connections")
	for range 300 {
		hold(t, web)
	}
	for range 100 {
		go beginMessage(hold(t, archive), 200<<10)
	}
	time.Sleep(time.Second) // for as many of them as the daemon takes
	var sessions []mail
	for range mtas {
		sessions = append(sessions, connect(t, "unix", p.socket()).begin(messageID, dateField, listID))
	}
	for _, m := range sessions {
		if got := len(m.end()); got != 2 {
			t.Errorf("%d fields", got)
		}
	}
	for _, trouble := range []string{"accept failed", "too many open files"} {
		if strings.Contains(p.log.String(), trouble) {
			t.Errorf("%s:\n%s", trouble, &p.log)
		}
	}
}

// Connections that are only held must not keep others out.
func TestConnectionsOverTheBoundWaitForIdleOnes(t *testing.T) {
	for service, c := range map[string]struct {
		config string // of the service, which ADDR stands for
		use    func(t *testing.T, addr string)
	}{
		"milter": {"[milter]\nlisten = [\"ADDR\"]\n", func(t *testing.T, addr string) {
			connect(t, "tcp", addr).begin(messageID).end()
		}},
		"http": {"[http]\nlisten = \"ADDR\"\n", func(t *testing.T, addr string) {
			if code, _, _ := ask(t, "GET", "http://"+addr+"/", "", ""); code != http.StatusOK {
				t.Errorf("status %d", code)
			}
		}},
		"lmtp": {lmtpTable + "listen = \"ADDR\"\n", func(t *testing.T, addr string) {
			r := lmtp.Request{Server: addr, Domain: "archive.example.org", Hostname: "mx.example.org"}
			if _, err := lmtp.Deliver(t.Context(), r, strings.NewReader(messageID+"\r\n\r\n")); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			addr := "127.0.0.1:" + freePort(t)
			p := start(t, strings.Replace(c.config, "ADDR", addr, 1)+"max_connections = 1\n"+archiveTable)
			if service == "milter" {
				connect(t, "tcp", addr)
			} else {
				hold(t, addr)
			}
			c.use(t, addr)
			p.log.wait(t, `msg="all connections are in use, clients have to wait; raise max_connections of this service" service=`+service)
			p.stop(t)
		})
	}
}

func TestStrangersAreLoweredBeforeTheMilter(t *testing.T) {
	type limits = map[string]int
	others := []demand{{"http", 1000, 1}, {"lmtp", 100, 4}}
	for _, c := range []struct {
		files  int
		want   limits
		needed int
	}{
		{1900, nil, 1900},
		{1899, limits{"http": 995, "lmtp": 99}, 1900},
		{1200, limits{"http": 496, "lmtp": 50}, 1900},
		{505, limits{"http": 1, "lmtp": 1}, 1900},
		{500, limits{"http": 1, "lmtp": 1, "milter": 495}, 1900},
		{-10, limits{"http": 1, "lmtp": 1, "milter": 1}, 1900},
	} {
		got, needed := fit(c.files, 500, others)
		if !maps.Equal(got, c.want) || needed != c.needed {
			t.Errorf("%d files: %v, %d needed; want %v, %d", c.files, got, needed, c.want, c.needed)
		}
	}
	if got, _ := fit(100, 500, nil); got["milter"] != 100 {
		t.Errorf("the milter alone: %v", got)
	}
}

func hold(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// beginMessage sends a message without its end, once it is served.
func beginMessage(c net.Conn, size int) {
	r := bufio.NewReader(c)
	for _, say := range []string{"", "LHLO c\r\n", "MAIL FROM:<a@example.org>\r\n", "RCPT TO:<" + md5Hash + "@archive.example.org>\r\n", "DATA\r\n"} {
		io.WriteString(c, say)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if len(line) > 3 && line[3] != '-' {
				break
			}
		}
	}
	io.WriteString(c, messageID+"\r\n\r\n"+strings.Repeat(strings.Repeat("x", 998)+"\r\n", size/1000))
}

// lmtpTable is followed by the rest of [lmtp].
const lmtpTable = "[[lmtp.domain]]\ndomain = \"archive.example.org\"\nlist = \"devel@lists.example.org\"\ndeliver = \"maildir:DIR/devel\"\n[lmtp]\n"

var archiveTable = archive("one.example")
