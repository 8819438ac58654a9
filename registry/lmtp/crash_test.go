package lmtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// crashVariable tells the child process of a test its folder and the step
// that it dies before.
const crashVariable = "LMTP_TEST_CRASH"

// steps are those of a Maildir delivery, and what each is answered by when it
// fails.
var steps = map[string]string{"write": "451 ", "stage": "451 ", "mark": "451 ", "deliver": "451 ", "confirm": "451 ", "settle": "250 "}

// serveUntilKilled is a daemon that kills itself, as kill -9 would.
func serveUntilKilled() {
	dir, fatal, _ := strings.Cut(os.Getenv(crashVariable), "\n")
	store, err := boltreg.Open(filepath.Join(dir, "registry"))
	if err != nil {
		panic(err)
	}
	die := func(step string) error {
		if step == fatal {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	o := options(dir, mortal{registry.New(store, registry.Options{}), die})
	o.Domains[0].Delivery.(*maildir).before = die
	server, err := NewServer(o)
	if err != nil {
		panic(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	server.Serve(ln)
	os.Exit(1)
}

// A mortal registry dies when it has confirmed, before the reply.
type mortal struct {
	registry.Registry
	die func(step string) error
}

func (m mortal) Confirm(ctx context.Context, c registry.Confirmation) (registry.Reservation, error) {
	r, err := m.Registry.Confirm(ctx, c)
	return r, errors.Join(err, m.die("reply"))
}

// startChild returns its address, and what ends it.
func startChild(t *testing.T, dir, fatal string) (addr string, end func()) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashVariable+"="+dir+"\n"+fatal)
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), func() {
		child.Process.Kill()
		child.Wait()
	}
}

func TestKilledServerDeliversOnceWhenTheClientTriesAgain(t *testing.T) {
	for _, step := range append(slices.Collect(maps.Keys(steps)), "reply") {
		t.Run("before "+step, func(t *testing.T) {
			dir := t.TempDir()
			addr, end := startChild(t, dir, step)
			_, err := Deliver(t.Context(), request(addr), strings.NewReader(message1(aliceID)))
			end()
			if step != "settle" && !errors.Is(err, ErrTemporary) {
				t.Fatalf("the killed server: %v", err)
			}
			addr, end = startChild(t, dir, "")
			defer end()
			plainTransaction(t, addr)
			for range 2 {
				receipt, err := Deliver(t.Context(), request(addr), strings.NewReader(message1(aliceID)))
				if err != nil || receipt.Token != hash {
					t.Errorf("%+v, %v", receipt, err)
				}
			}
			if got := stored(t, filepath.Join(dir, "devel")); len(got) != 1 {
				t.Errorf("%d messages are stored", len(got))
			}
		})
	}
}

// plainTransaction sends the message as an MTA that knows nothing of
// negotiation: the one token must do, or the MTA bounces the message.
func plainTransaction(t *testing.T, addr string) {
	t.Helper()
	c := site{addr: addr}.dial(t)
	c.begin(t, "a@example.org")
	replies := c.talk(recipient1, "DATA", message1(aliceID)+".", "QUIT")
	expect(t, replies[0], "250 ")
	expect(t, replies[2], "250 2.1.5")
}

func request(addr string) Request {
	return Request{Server: addr, Domain: "archive.example.org", Algorithm: hashheader.MD5, From: "a@example.org", Hostname: "client.example.org"}
}

// failOnce makes a Maildir fail before a step, once.
func failOnce(step string) func(*Options) {
	return func(o *Options) {
		o.Domains[0].Delivery.(*maildir).before = func(at string) error {
			if at != step {
				return nil
			}
			step = ""
			return syscall.ENOSPC
		}
	}
}

func TestFailedStepsDeliverOnceWhenTheClientTriesAgain(t *testing.T) {
	for step, want := range steps {
		for _, consumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s fails, the reader has removed the message: %t", step, consumed), func(t *testing.T) {
				s := start(t, failOnce(step))
				c := s.dial(t)
				c.begin(t, "a@example.org")
				c.talk("RCPT TO:<"+hash+"@archive.example.org>", "DATA")
				expect(t, c.talk(message1(aliceID) + ".")[0], want)
				seen := 0
				if consumed {
					seen = consume(t, s.devel)
				}
				replies := c.talk("MAIL FROM:<a@example.org>", "RCPT TO:<"+hash+"@archive.example.org>", "DATA", message1(aliceID)+".")
				expect(t, replies[3], "250 2.1.5")
				c.talk("NOOP") // the transaction is settled by now
				if seen += len(stored(t, s.devel)); seen != 1 {
					t.Errorf("the message came %d times", seen)
				}
				if left, _ := filepath.Glob(s.devel + "/pending/*"); len(left) != 0 {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	}
}

// consume does as an archiver that takes messages out of its Maildir.
func consume(t *testing.T, maildir string) int {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(maildir, "new", "*"))
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	return len(files)
}

// An unsure registry does what it is told, and says that it could not.
type unsure struct {
	registry.Registry
	confirms int
}

func (u *unsure) Confirm(ctx context.Context, c registry.Confirmation) (registry.Reservation, error) {
	r, err := u.Registry.Confirm(ctx, c)
	if u.confirms++; u.confirms == 1 {
		return registry.Reservation{}, registry.ErrUnavailable
	}
	return r, err
}

func TestConfirmationWhoseAnswerIsLost(t *testing.T) {
	s := start(t, func(o *Options) { o.Registry = &unsure{Registry: o.Registry} })
	c := s.dial(t)
	c.begin(t, "a@example.org")
	again := []string{"MAIL FROM:<a@example.org>", "RCPT TO:<" + hash + "@archive.example.org>", "DATA", message1(aliceID) + "."}
	expect(t, c.talk(again[1:]...)[2], "451 4.3.0 <"+hash+"@archive.example.org> The registry does not answer")
	expect(t, c.talk(again...)[3], "250 2.1.5 <"+hash+"@archive.example.org> Already archived")
	if got := stored(t, s.devel); len(got) != 1 {
		t.Errorf("%d messages are stored", len(got))
	}
}

// A slower server is told by the registry that another one gave its token away.
type slower struct {
	registry.Registry
	other registry.Request
}

func (s *slower) Reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	if s.other.List != "" {
		if _, err := s.Registry.Reserve(ctx, s.other); err != nil {
			return registry.Result{}, err
		}
		s.other = registry.Request{}
	}
	return s.Registry.Reserve(ctx, r)
}

func TestTokenThatAnotherServerGaveAway(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Registry = &slower{o.Registry, registry.Request{List: devel, Hash: hash, Identity: unseen}}
	})
	c := s.dial(t)
	c.begin(t, "a@example.org")
	again := []string{"MAIL FROM:<a@example.org>", "RCPT TO:<" + hash + "-2@archive.example.org>", "DATA", message1(aliceID) + "."}
	expect(t, c.talk("RCPT TO:<"+hash+"@archive.example.org>", "DATA", again[3])[2], "553 5.1.0 <"+hash+"@archive.example.org> Permalink already occupied, try <"+hash+"-2@")
	for _, dir := range []string{"tmp", "pending", "new"} {
		if left, _ := filepath.Glob(filepath.Join(s.devel, dir, "*")); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	expect(t, c.talk(again...)[3], "250 2.1.5")
	if got := stored(t, s.devel); len(got) != 1 {
		t.Errorf("%d messages are stored", len(got))
	}
}
