package miltertest_test

import (
	"context"
	stdlog "log"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/milter"
	"permalink-milter/milter/miltertest"
	"permalink-milter/milter/mtatest/output"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

// library is what go-milter logs: nothing, as the server keeps from it all that it would complain of.
var library output.Buffer

func TestMain(m *testing.M) {
	stdlog.SetOutput(&library)
	goleak.VerifyTestMain(m)
}

// A server is the real one over a registry in memory.
type server struct {
	addr  string // of a unix socket
	open  connections
	log   output.Buffer
	limit milter.Options
}

// connections counts what is open.
type connections struct{ n atomic.Int64 }

func (c *connections) Connection(delta int)            { c.n.Add(int64(delta)) }
func (*connections) Message(string, time.Duration)     {}
func (*connections) Reservation(string, time.Duration) {}
func (*connections) Refused(string)                    {}
func (s *server) dial(t testing.TB) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

// untilFree waits until the server holds no connection.
func (s *server) untilFree(t testing.TB) {
	t.Helper()
	for range 1000 {
		if s.open.n.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d connections are still open", s.open.n.Load())
}

// serve starts a server with the limits that a script's options set.
func serve(t testing.TB, options map[string]string) *server {
	t.Helper()
	s := &server{addr: filepath.Join(t.TempDir(), "milter.sock")}
	s.limit = milter.Options{Policy: stamptest.Policy(t, nil), Reserve: registry.New(memreg.New(), registry.Options{}).Reserve, Observe: &s.open,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)), IdleTimeout: time.Minute,
		MessageBudget: 5 * time.Second, MaxHeaderFields: 2000, MaxHeaderBytes: 1 << 20}
	for name, value := range options {
		set(t, &s.limit, name, value)
	}
	milterServer := milter.NewServer(s.limit)
	ln, err := net.Listen("unix", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- milterServer.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := milterServer.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != milter.ErrServerClosed {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func set(t testing.TB, o *milter.Options, name, value string) {
	t.Helper()
	n, numberErr := strconv.Atoi(value)
	d, durationErr := time.ParseDuration(value)
	switch {
	case name == "max_header_fields" && numberErr == nil:
		o.MaxHeaderFields = n
	case name == "max_header_bytes" && numberErr == nil:
		o.MaxHeaderBytes = n
	case name == "idle_timeout" && durationErr == nil:
		o.IdleTimeout = d
	case name == "list_fields_from":
		p := *o.Policy
		p.ListFieldsFrom = clients(t, value)
		o.Policy = &p
	default:
		t.Fatalf("option %s=%s is not known", name, value)
	}
}

// scripts reads all cases.
func scripts(t testing.TB) map[string]*miltertest.Script {
	t.Helper()
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	out := make(map[string]*miltertest.Script)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out[strings.TrimSuffix(filepath.Base(file), ".txt")], err = miltertest.Parse(string(text)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return out
}

func TestCases(t *testing.T) {
	for name, script := range scripts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, script.Options)
			if err := script.Run(t.Context(), s.dial(t)); err != nil {
				t.Error(err)
			}
			s.untilFree(t)
			checkLog(t, s.log.String(), script.Logs)
		})
	}
}

// checkLog finds each text in one line, and no line above level info but these.
func checkLog(t *testing.T, log string, texts []string) {
	t.Helper()
	var bad []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			bad = append(bad, line)
		}
	}
	for _, text := range texts {
		if n := strings.Count(log, text); n != 1 {
			t.Errorf("%q is %d times in the log:\n%s", text, n, log)
		}
	}
	if len(bad) > len(texts) {
		t.Errorf("lines in the log that no case asks for: %q", bad)
	}
	if got := library.String(); got != "" {
		t.Errorf("go-milter complains: %s", got)
	}
}

// clients reads networks and "authenticated", separated by commas.
func clients(t testing.TB, value string) (out stamp.Clients) {
	t.Helper()
	for _, name := range strings.Split(value, ",") {
		if name == "authenticated" {
			out.Authenticated = true
			continue
		}
		out.Networks = append(out.Networks, netip.MustParsePrefix(name))
	}
	return out
}
