// Package hosts runs whole mail hosts that share one registry: for each a
// private Postfix, a sink that takes what it delivers, and the daemon. It
// sends the same messages through all of them at once, and judges what came
// out by what the registry holds in the end.
//
// It may not look into the daemon: it sees the mail, the metrics, the log and
// the conflicts file, as an operator does.
package hosts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"permalink-milter/milter/mtatest"
	"permalink-milter/registry/guard"
)

// ArchivePrefix begins the permalinks of every host; list and token follow.
const ArchivePrefix = "https://archive.example.org/"

const daemonConfig = `
hostname = "%[1]s.example.org"
state_dir = %[2]q
[milter]
listen = ["inet:%[3]s"]
[admin]
listen = %[4]q
[[archive]]
name = "archive"
lists = ["*@lists.example.org"]
url = "` + ArchivePrefix + `{list}/{token}"
[registry]
url = %[5]q
on_failure = %[6]q
min_replicas = %[7]d
`

// A Registry is what a host's configuration says of the registry.
type Registry struct {
	URL         string
	OnFailure   string // stamp where empty
	MinReplicas int
}

// A Host is one mail host. Its methods are for one goroutine, but for Send
// and Sink.
type Host struct {
	Name          string
	Sink          *mtatest.Sink
	postfix       *mtatest.Postfix
	logged        int // bytes of Postfix's log before StartDaemon
	daemon        *mtatest.Daemon
	dir           string // the daemon's
	milter, admin string // addresses, host:port
}

// Start starts a host's Postfix and sink. Until StartDaemon, mail is answered
// with 451.
func Start(ctx context.Context, name string) (*Host, error) {
	h := &Host{Name: name}
	for _, addr := range []*string{&h.milter, &h.admin} {
		port, err := mtatest.FreePort()
		if err != nil {
			return nil, err
		}
		*addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	var err error
	if h.Sink, err = mtatest.StartSink(ctx); err != nil {
		return nil, err
	}
	h.postfix, err = mtatest.StartPostfix(ctx, mtatest.Options{Milters: []string{"inet:" + h.milter}, Sink: h.Sink.Addr()})
	if err != nil {
		h.Sink.Stop()
		return nil, err
	}
	return h, nil
}

// StartDaemon starts the daemon, bin, with its state in a new folder under
// dir, and forgets all mail of the time before.
func (h *Host) StartDaemon(ctx context.Context, bin, dir string, r Registry) (err error) {
	h.dir = filepath.Join(dir, h.Name)
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		return err
	}
	h.Sink.Reset()
	h.logged = len(h.postfix.Log())
	config := fmt.Sprintf(daemonConfig, h.Name, h.state(), h.milter, h.admin, r.URL, cmp.Or(r.OnFailure, "stamp"), r.MinReplicas)
	h.daemon, err = mtatest.StartDaemon(ctx, bin, h.dir, config, h.milter, h.admin)
	return err
}

// StopDaemon ends the daemon as an operator does.
func (h *Host) StopDaemon() error {
	if h.daemon == nil {
		return nil
	}
	return h.daemon.Stop()
}

// CrashDaemon kills the daemon with SIGKILL and starts it again. Mail that
// comes meanwhile is answered with 451.
func (h *Host) CrashDaemon(ctx context.Context) error {
	if err := h.daemon.Kill(); err != nil {
		return err
	}
	return h.daemon.Restart(ctx)
}

// Stop ends all of the host.
func (h *Host) Stop() error {
	err := errors.Join(h.StopDaemon(), h.postfix.Stop())
	h.Sink.Stop()
	return err
}

func (h *Host) state() string { return filepath.Join(h.dir, "state") }

// Addr is where Postfix takes mail, host:port.
func (h *Host) Addr() string { return h.postfix.Remote() }

// Send hands mails to Postfix until it takes them, as a mail server does.
func (h *Host) Send(ctx context.Context, mails ...mtatest.Mail) error {
	return mtatest.SendUntilAccepted(ctx, h.Addr(), 1, mails...)
}

// Conflicts are those that the daemon has kept.
func (h *Host) Conflicts() (all []guard.Conflict, err error) {
	for c, err := range guard.Conflicts(filepath.Join(h.state(), "journal")) {
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Refusals counts the 4xx and 5xx replies of Postfix since StartDaemon.
func (h *Host) Refusals() int { return strings.Count(h.postfix.Log()[h.logged:], "reject: ") }

// Errors counts the lines at error level in the daemon's log.
func (h *Host) Errors() int { return strings.Count(h.daemon.Stderr(), "level=ERROR") }

// Log is what the daemon has logged.
func (h *Host) Log() string { return h.daemon.Stderr() }

// Metrics are the daemon's, by name and labels without the namespace, as
// `replayed_total{result="conflict"}`.
func (h *Host) Metrics(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	metrics := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			metrics[strings.TrimPrefix(name, "permalink_milter_")] = number
		}
	}
	return metrics, nil
}

// WaitServed returns when the registry serves the daemon.
func (h *Host) WaitServed(ctx context.Context) error {
	return h.wait(ctx, "the registry to answer", func() (bool, error) {
		m, err := h.Metrics(ctx)
		return m[`breaker_state{state="closed"}`] == 1, err
	})
}

// WaitOutage returns when the daemon no longer waits for the registry.
func (h *Host) WaitOutage(ctx context.Context) error {
	return h.wait(ctx, "the breaker to open", func() (bool, error) {
		m, err := h.Metrics(ctx)
		return m[`breaker_state{state="closed"}`] == 0 && m[`breaker_state{state="open"}`]+m[`breaker_state{state="half-open"}`] == 1, err
	})
}

// WaitReplayed returns when nothing is left in the daemon's journal.
func (h *Host) WaitReplayed(ctx context.Context) error {
	return h.wait(ctx, "the end of the replay", func() (bool, error) {
		m, err := h.Metrics(ctx)
		return m["journal_records"] == 0, err
	})
}

// WaitDelivered returns when Postfix's queue is empty.
func (h *Host) WaitDelivered(ctx context.Context) error {
	return h.wait(ctx, "an empty queue", func() (bool, error) { return h.postfix.QueueEmpty(ctx) })
}

// wait asks until the answer is yes.
func (h *Host) wait(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		if yes, err := done(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s waits for %s: %w", h.Name, what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
