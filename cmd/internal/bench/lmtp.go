package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patientRegistry goes on with the table [registry]: what takes long is to be
// measured, not refused.
const patientRegistry = `timeout = "4s"
`

const lmtpConfig = `[lmtp]
listen = %q
hostname = "archive.example.org"
[[lmtp.domain]]
domain = "archive.example.org"
list = "devel@lists.example.org"
deliver = "maildir:%s"
`

const dovecotConfig = `base_dir = %[1]s/base
state_dir = %[1]s/state
log_path = %[1]s/log
info_log_path = /dev/null
protocols = lmtp
ssl = no
default_login_user = daemon
default_internal_user = nobody
default_internal_group = nogroup
first_valid_uid = 0
mail_location = maildir:%[1]s/mail/Maildir
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=bin gid=bin home=%[1]s/mail allow_all_users=yes
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = %[2]d
  }
}
`

// An archiver delivers by LMTP to a Maildir.
type archiver struct {
	name, maildir string
	start         func(wrap []string) (addr string, stop func())
}

// lmtpMessages numbers the messages.
var lmtpMessages atomic.Int64

// lmtp measures how many messages of 4 KB a second are delivered to a Maildir
// over connections that are kept, and how often a message is synced to disk.
func (b *bench) lmtp() table {
	t := table{title: "LMTP deliveries a second of 4 KB to a Maildir",
		head: []string{"connections", "server", "median", "min", "max", "beside Dovecot", "fsyncs a message"}}
	redis := b.redisServer()
	defer redis.Stop()
	archivers := []archiver{b.dovecot(), b.lmtpOn("permalink-milter, bolt", "bolt:r.db"), b.lmtpOn("permalink-milter, Redis", "redis://"+redis.Addr())}
	for _, conns := range []int{1, 3, 10} {
		rates := make([][]float64, len(archivers))
		for range b.rounds() {
			for i, a := range archivers {
				addr, stop := a.start(nil)
				a.deliver(addr, conns, 0) // what the first one opens and makes
				messages, took := a.deliver(addr, conns, b.patience())
				rates[i] = append(rates[i], float64(messages)/took.Seconds())
				stop()
			}
		}
		for i, a := range archivers {
			low, middle, high := spread(rates[i])
			t.add(fmt.Sprint(conns), a.name, middle, low, high, number(beside(rates[i], rates[0])), number(b.syncs(a, conns)))
		}
	}
	return t
}

// syncs returns how many fsync(2) and fdatasync(2) an archiver calls for a
// message: those of a run without messages taken off.
func (b *bench) syncs(a archiver, conns int) float64 {
	count := func(d time.Duration) (messages, syncs int) {
		file := b.file("strace")
		defer os.Remove(file)
		addr, stop := a.start([]string{"strace", "-D", "-f", "-o", file, "-e", "trace=fsync,fdatasync", "-e", "signal=none"})
		a.deliver(addr, conns, 0)
		messages, _ = a.deliver(addr, conns, d)
		stop()
		out, err := os.ReadFile(file)
		must(err)
		return messages, bytes.Count(out, []byte("sync("))
	}
	few, base := count(0)
	messages, syncs := count(b.patience())
	return float64(syncs-base) / float64(messages-few)
}

// lmtpOn is the daemon on a registry.
func (b *bench) lmtpOn(name, registry string) archiver {
	a := archiver{name: name, maildir: b.file("maildir")}
	a.start = func(wrap []string) (string, func()) {
		addr := freeAddr()
		f := b.daemon(name, registry, patientRegistry+archiveConfig+fmt.Sprintf(lmtpConfig, addr, a.maildir))
		command := f.command
		f.command = func(socket string) *exec.Cmd { return wrapped(command(socket), wrap) }
		r := f.start()
		return addr, func() {
			end(r.cmd)
			os.RemoveAll(filepath.Dir(r.socket))
			b.putAside(a.maildir)
		}
	}
	return a
}

// dovecot is Dovecot's LMTP server as Debian has it, which needs root. Its files
// lie over /usr in a mount namespace of its own.
func (b *bench) dovecot() archiver {
	cache, err := os.UserCacheDir()
	must(err)
	tree := filepath.Join(cache, "permalink-milter", "dovecot")
	dir := b.file("dovecot")
	must(os.Mkdir(dir, 0o755))
	must(os.Chmod(b.dir, 0o755)) // for the user who owns the mail
	config, mail := filepath.Join(dir, "dovecot.conf"), filepath.Join(dir, "mail")
	a := archiver{name: "Dovecot", maildir: filepath.Join(mail, "Maildir")}
	a.start = func(wrap []string) (string, func()) {
		addr := freeAddr()
		_, port, err := net.SplitHostPort(addr)
		must(err)
		number, err := strconv.Atoi(port)
		must(err)
		must(os.WriteFile(config, fmt.Appendf(nil, dovecotConfig, dir, number), 0o644))
		must(os.Mkdir(mail, 0o777))
		must(os.Chmod(mail, 0o777))
		cmd := exec.CommandContext(b.ctx, "unshare", "--mount", "sh", "-c",
			fmt.Sprintf("mount -t overlay overlay -o lowerdir=%s/usr:/usr /usr && exec dovecot -F -c %s", tree, config))
		cmd = wrapped(cmd, wrap)
		must(startWithSlack(cmd))
		return addr, func() {
			end(cmd)
			b.putAside(mail)
		}
	}
	return a
}

// putAside moves a folder away until the benchmark ends. Were it removed, ext4
// without a journal would look past its inodes for minutes, for each new file.
func (b *bench) putAside(dir string) { must(os.Rename(dir, b.file("done"))) }

// wrapped runs a command under another one.
func wrapped(cmd *exec.Cmd, by []string) *exec.Cmd {
	if len(by) == 0 {
		return cmd
	}
	path, err := exec.LookPath(by[0])
	must(err)
	cmd.Path, cmd.Args = path, append(by, cmd.Args...)
	return cmd
}

// end ends a program and waits for it.
func end(cmd *exec.Cmd) {
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
}

// deliver delivers messages over so many connections, one over each at least,
// until a time is over. It returns how many in which time.
func (a archiver) deliver(addr string, conns int, d time.Duration) (messages int, took time.Duration) {
	before := a.delivered()
	clients := make([]*lmtpClient, conns)
	for i := range clients {
		clients[i] = dialLMTP(addr)
	}
	var sent atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for _, c := range clients {
		wg.Go(func() {
			for more := true; more; more = time.Since(begin) < d {
				c.deliver()
				sent.Add(1)
			}
			c.conn.Close()
		})
	}
	wg.Wait()
	took, messages = time.Since(begin), int(sent.Load())
	if got := a.delivered() - before; got != messages {
		fail("%s has %d of %d messages in its Maildir", a.name, got, messages)
	}
	return messages, took
}

func (a archiver) delivered() int {
	entries, err := os.ReadDir(filepath.Join(a.maildir, "new"))
	if !os.IsNotExist(err) {
		must(err)
	}
	return len(entries)
}

// An lmtpClient sends messages over one connection, as Postfix does: envelope
// and DATA in one write.
type lmtpClient struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialLMTP connects, as soon as the server listens.
func dialLMTP(addr string) *lmtpClient {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			c := &lmtpClient{conn, bufio.NewReader(conn)}
			c.expect("220")
			c.command("LHLO client.example.net\r\n", "250")
			return c
		}
		if time.Since(begin) > 30*time.Second {
			fail("LMTP: %v", err)
		}
	}
}

func (c *lmtpClient) deliver() {
	n := int(lmtpMessages.Add(1))
	c.command(fmt.Sprintf("MAIL FROM:<devel-bounces@lists.example.org>\r\nRCPT TO:<%s@archive.example.org>\r\nDATA\r\n", hashOf(n)), "250", "250", "354")
	c.command(fmt.Sprintf("Message-ID: <%d@mail.example.org>\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nFrom: Alice <alice@example.org>\r\nTo: devel@lists.example.org\r\n"+
		"Subject: Re: a subject of usual length\r\n\r\n%s.\r\n", n, text4K), "250")
}

// text4K is the body of a message.
var text4K = strings.Repeat("Hello, list. This is a line of text that is a little longer.\r\n", 4096/62)

func (c *lmtpClient) command(text string, replies ...string) {
	_, err := c.conn.Write([]byte(text))
	must(err)
	for _, code := range replies {
		c.expect(code)
	}
}

// expect reads a reply, of several lines perhaps.
func (c *lmtpClient) expect(code string) {
	for {
		line, err := c.r.ReadString('\n')
		must(err)
		if !strings.HasPrefix(line, code) {
			fail("LMTP: %q, not %s", line, code)
		}
		if line[3] == ' ' {
			return
		}
	}
}
