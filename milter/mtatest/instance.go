package mtatest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"permalink-milter/milter/mtatest/output"
)

// instance is what every private MTA has: a folder, two SMTP servers' addresses, and one process above all others.
type instance struct {
	dir           string
	temporary     bool
	remote, local string
	process       *process
	output        output.Buffer // what that process prints rather than logs
	stopOnce      sync.Once
	stopErr       error
}

// Remote implements MTA.
func (i *instance) Remote() string { return i.remote }

// Local implements MTA.
func (i *instance) Local() string { return i.local }

// Stop implements MTA.
func (i *instance) Stop() error {
	i.stopOnce.Do(func() {
		if i.process != nil {
			i.stopErr = i.process.stop(syscall.SIGTERM, 5*time.Second)
		}
		if i.temporary {
			i.stopErr = errors.Join(i.stopErr, os.RemoveAll(i.dir))
		}
	})
	return i.stopErr
}

// makeDir makes the instance's folder, readable by all.
func (i *instance) makeDir() (err error) {
	if i.dir == "" {
		i.temporary = true
		i.dir, err = os.MkdirTemp("", "mta-")
	} else if i.dir, err = filepath.Abs(i.dir); err == nil {
		err = os.MkdirAll(i.dir, 0o755)
	}
	if err == nil {
		err = os.Chmod(i.dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("make the instance's folder: %w", err)
	}
	return nil
}

func (i *instance) makeFolders(mode fs.FileMode, names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(i.dir, name), mode); err != nil {
			return fmt.Errorf("make the instance's folders: %w", err)
		}
	}
	return nil
}

// giveTo makes a user the owner of a file.
func giveTo(name, file string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("%w; the MTA's Debian package makes it", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	return os.Chown(file, uid, -1)
}

func (i *instance) choosePorts() error {
	for _, addr := range []*string{&i.remote, &i.local} {
		port, err := FreePort()
		if err != nil {
			return err
		}
		*addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return nil
}

// waitForBanners returns when both SMTP servers greet.
func (i *instance) waitForBanners(ctx context.Context) error {
	for _, addr := range []string{i.remote, i.local} {
		if err := poll(ctx, i.process, func(ctx context.Context) error { return greeted(ctx, addr) }); err != nil {
			return err
		}
	}
	return nil
}

func greeted(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := newClient(ctx, conn)
	if err := c.expect(220); err != nil {
		return err
	}
	return c.command(221, "QUIT")
}

// holdsFile reports whether a folder, or one below it, holds a file.
func holdsFile(dir string) (bool, error) {
	found := false
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		found = true
		return fs.SkipAll
	})
	if err != nil {
		return false, fmt.Errorf("look into the queue: %w", err)
	}
	return found, nil
}
