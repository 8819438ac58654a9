// Package filecheck checks the bbolt file of a registry before bbolt trusts it.
//
// bbolt maps its file: on a damaged one it panics, faults, recurses until the
// stack is full, or overwrites pages that are in use. The format has no
// checksums except over the two meta pages. Therefore Check has a child
// process look at the file; if that crashes, the crash is the diagnosis. The
// child is this program again, whichever it is. A changed byte within a key or
// a value that leaves a valid one is not found.
package filecheck

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"permalink-milter/registry/boltreg/pages"
	"permalink-milter/registry/statefile"
)

// EntriesBucket is the name of the only bucket of a registry file.
const EntriesBucket = "entries-v1"

// LockWait is how long to wait for another process to release the file.
const LockWait = time.Second

var (
	// ErrDamaged is wrapped by the errors for a file that bbolt cannot be
	// trusted with.
	ErrDamaged = errors.New("damaged registry file")
	// ErrInUse is wrapped by the errors for a file that another process holds.
	ErrInUse = errors.New("another process holds the registry file")
)

// errIrregular keeps away from devices, and from pipes, which would be waited for.
var errIrregular = errors.New("it is not a regular file: name the registry's file, or remove this one")

var errEmpty = errors.New("it is empty, because it was truncated or its creation was interrupted; remove it if it never held anything")

func damaged(err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }

// InUse returns an error that wraps ErrInUse and says what to do.
func InUse(name string) error {
	return fmt.Errorf("%s: %w: if it is permalink-milter, name its configuration with --config, to ask the daemon; else stop it", name, ErrInUse)
}

// checkVariable is set to the name of a file in the environment of the child
// process that checks it.
const checkVariable = "PERMALINK_CHECK_REGISTRY_FILE"

// The exit codes of the child process. Any other one is a crash.
const (
	exitSound   = 0
	exitInUse   = 80
	exitDamaged = 81
)

// init makes any program that imports this package its own checker, tests
// included, so that none of them can forget to be.
func init() {
	if name, ok := os.LookupEnv(checkVariable); ok {
		os.Exit(checkMain(name))
	}
}

// Check has a child process read all pages of a file, without changing it. Its
// error wraps ErrDamaged, ErrInUse, or one of the operating system's.
func Check(name string) error {
	file, err := statefile.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", name, errIrregular)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("check %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience(info.Size()))
	defer cancel()
	var stdout, stderr bytes.Buffer
	child := exec.CommandContext(ctx, self)
	child.Env = append(os.Environ(), checkVariable+"="+name, "GOTRACEBACK=none")
	child.Stdout, child.Stderr = &stdout, &stderr
	err = child.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return damaged(errors.New("reading its pages does not end"))
	case !errors.As(err, &exit):
		return fmt.Errorf("check %s: %w", name, err)
	case exit.ExitCode() == exitInUse:
		return InUse(name)
	case exit.ExitCode() == exitDamaged:
		return damaged(errors.New(stdout.String()))
	}
	crash, _, _ := strings.Cut(stderr.String(), "\n")
	return damaged(fmt.Errorf("bbolt crashes on it: %s", cmp.Or(crash, err.Error())))
}

// patience returns how long a check of a file of size bytes may take: on a
// damaged one, pages that lead to each other can be read without end.
func patience(size int64) time.Duration {
	const slowest = 5 << 20 // bytes a second, of a busy disk
	return time.Minute + time.Duration(size/slowest)*time.Second
}

// checkMain is the child process.
func checkMain(name string) (exitCode int) {
	debug.SetMaxStack(16 << 20) // a tree that leads in a circle fills any stack
	err := checkFile(name)
	switch {
	case err == nil:
		return exitSound
	case errors.Is(err, bolterrors.ErrTimeout):
		return exitInUse
	}
	fmt.Print(err)
	return exitDamaged
}

func checkFile(name string) error {
	db, openErr := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true, Timeout: LockWait, OpenFile: statefile.Open})
	info, err := os.Stat(name)
	switch {
	case errors.Is(openErr, bolterrors.ErrTimeout) || err != nil:
		return cmp.Or(openErr, err)
	case info.Size() == 0:
		return errEmpty
	case openErr != nil:
		return fmt.Errorf("its meta data cannot be read: %w", openErr)
	}
	return db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("it has %d bytes of %d: it was truncated", info.Size(), tx.Size())
		}
		for err := range tx.Check() {
			return err
		}
		return checkRoot(tx)
	})
}

// fresh is the last transaction of a file whose bucket was not yet made.
const fresh = 1

// checkRoot returns an error unless a store made the file.
func checkRoot(tx *bbolt.Tx) error {
	found := false
	err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		if string(name) != EntriesBucket || b == nil {
			return fmt.Errorf("%q is not a bucket of this version: another program or a newer permalink-milter wrote it", name)
		}
		found = true
		if err := checkBranches(tx, b); err != nil {
			return err
		}
		return checkEntries(b)
	})
	if err == nil && !found && tx.ID() > fresh {
		return errors.New("its entries are missing")
	}
	return err
}

// checkBranches returns an error if a branch page leads to a page by another
// key than its first. bbolt reads such a tree, and so its check accepts it, but
// a write then leads to that page twice.
func checkBranches(tx *bbolt.Tx, b *bbolt.Bucket) error {
	if b.RootPage() == 0 {
		return nil // the only page is in that of the root bucket
	}
	file, err := statefile.Open(tx.DB().Path(), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = firstKey(file, uint64(b.RootPage()), uint64(tx.DB().Info().PageSize))
	return err
}

// firstKey returns the first key below a page, after it has checked those of
// the branches.
func firstKey(file *os.File, id, pageSize uint64) (first []byte, err error) {
	p, err := pages.Read(file, id, pageSize)
	if err != nil || p.Count() == 0 {
		return nil, err
	}
	if p.Kind() == pages.Leaf {
		first, _, _, err = p.Pair(0)
		return first, err
	}
	for i := range p.Count() {
		key, child, err := p.Child(i)
		if err != nil {
			return nil, err
		}
		below, err := firstKey(file, child, pageSize)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(key, below) {
			return nil, fmt.Errorf("page %d leads to page %d by the key %q, but that begins with %q", id, child, key, below)
		}
		if i == 0 {
			first = key
		}
	}
	return first, nil
}

// checkEntries reads every byte of every entry, and compares how many there
// are with how many the pages hold: tx.Check does not see that a page lost
// its last elements or that one is longer than it was.
func checkEntries(b *bbolt.Bucket) error {
	stats := b.Stats()
	want := stats.LeafInuse + stats.InlineBucketInuse
	got := (stats.LeafPageN+stats.InlineBucketN)*pages.HeaderSize + stats.KeyN*pages.ElementSize
	err := b.ForEach(func(key, value []byte) error {
		if value == nil {
			return fmt.Errorf("%q is not an entry", key)
		}
		got += len(key) + len(value)
		_ = crc32.ChecksumIEEE(value)
		return nil
	})
	if err == nil && got != want {
		return fmt.Errorf("its entries take %d bytes, but its pages hold %d", got, want)
	}
	return err
}
