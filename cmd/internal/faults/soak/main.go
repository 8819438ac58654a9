// Command soak loads a daemon through all its doors for a long time and fails if it grows: memory, goroutines,
// descriptors. It prints what it measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"permalink-milter/cmd/internal/faults"
	"permalink-milter/milter/mtatest"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// config has two port numbers, and the directory thrice. The rates are not to be met.
const config = `
state_dir = "%[3]s/state"
log.level = "warn"
admin.listen = "127.0.0.1:%[1]d"
[milter]
listen = ["unix:%[3]s/milter"]
idle_timeout = "10s"
[http]
listen = "127.0.0.1:%[2]d"
rate = 100000
[lmtp]
listen = "unix:%[3]s/lmtp"
[[lmtp.domain]]
domain = "archive.example.org"
list = "archived@lists.example.org"
deliver = "maildir:%[3]s/mail"
[[archive]]
name = "a"
lists = ["load@lists.example.org"]
url = "https://a.example/load/{token}"
[[archive]]
name = "b"
lists = ["devel@*", "archived@*"]
url = "https://b.example/{list}/{token}"
`

const (
	sessions   = 16
	sampleWait = 2 * time.Second
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *length); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run starts a daemon in a directory of its own and removes both.
func run(ctx context.Context, length time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &soak{dir: dir, load: &faults.Load{Network: "unix", Addr: filepath.Join(dir, "milter")}}
	if err := s.start(ctx); err != nil {
		return err
	}
	err = s.soak(ctx, length)
	if err != nil {
		err = fmt.Errorf("%w\nthe daemon's log:\n%.4000s", err, s.daemon.Stderr())
	}
	if stopped := errors.Join(err, s.daemon.Stop()); stopped != nil {
		return stopped
	}
	return s.count()
}

// A soak is a daemon and what is sent to it.
type soak struct {
	dir, metrics, page string
	daemon             *mtatest.Daemon
	load               *faults.Load
}

func (s *soak) start(ctx context.Context) error {
	bin, err := mtatest.BuildDaemon(ctx, s.dir)
	if err != nil {
		return err
	}
	admin, err := mtatest.FreePort()
	if err != nil {
		return err
	}
	http, err := mtatest.FreePort()
	if err != nil {
		return err
	}
	s.metrics, s.page = fmt.Sprintf("http://127.0.0.1:%d/metrics", admin), fmt.Sprintf("http://127.0.0.1:%d/", http)
	s.daemon, err = mtatest.StartDaemon(ctx, bin, s.dir, fmt.Sprintf(config, admin, http, s.dir), "unix:"+s.load.Addr)
	return err
}

// soak sends for a time and judges the samples that it takes meanwhile.
func (s *soak) soak(ctx context.Context, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	others := []func(context.Context) error{s.oddMail, s.readers, s.archivers, s.reloads}
	errs := make(chan error, len(others)+1)
	var wg sync.WaitGroup
	wg.Go(func() { errs <- s.load.Run(ctx, sessions, time.Minute) })
	for _, other := range others {
		wg.Go(func() { errs <- other(ctx) })
	}
	samples, err := s.samples(ctx)
	wg.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	fmt.Printf("%+v\n", s.load.Counts())
	return errors.Join(err, judge(samples))
}

// samples takes samples until ctx ends, the first when all connections are there.
func (s *soak) samples(ctx context.Context) (samples []faults.Sample, err error) {
	for wait(ctx, sampleWait) {
		one, err := faults.Take(context.WithoutCancel(ctx), s.daemon.PID(), s.metrics)
		if err != nil {
			return samples, err
		}
		samples = append(samples, one)
	}
	return samples, nil
}

// wait returns false where ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// count finds each message of the load once in the registry.
func (s *soak) count() error {
	store, err := boltreg.Open(filepath.Join(s.dir, "state", "permalinks.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	found := int64(0)
	for r, err := range registry.New(store, registry.Options{}).List(context.Background(), faults.List) {
		if err != nil {
			return err
		}
		if r.Ordinal == 1 {
			found++
		}
	}
	if sent := s.load.Counts().Sent; found != sent {
		return fmt.Errorf("%d messages were sent, %d are in the registry", sent, found)
	}
	return nil
}
