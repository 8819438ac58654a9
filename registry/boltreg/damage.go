package boltreg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"permalink-milter/registry"
)

// What is done about a damaged file. bbolt trusts its file: it maps it, and
// may fault, end the process by a stack without end, or write over what is in
// use where a page is not what it was. The format has no sums but over the
// two meta pages. So:
//
//   - Open reads the pages before bbolt does, and refuses a file whose tree,
//     order of keys or list of free pages is not whole (checkStructure). Of
//     two meta pages it wants one: a crash in mid-commit may tear the other.
//   - What bbolt panics about later, faults of the mapped file among them,
//     becomes an error, and the store does nothing from then on (survive).
//     Where on_failure is "stamp", mail is then journalled.
//   - An entry that cannot be decoded fails alone, with registry.ErrCorrupt.
//
// What stays unseen is a changed byte within a key or a value that leaves a
// good one, and damage behind Open that leads bbolt in a circle.

var (
	errEmpty  = errors.New("it is empty: it was cut off, or the first start of all was; remove it if it never held anything")
	errPanic  = errors.New("bbolt cannot go on")
	errRepair = errors.New("repair it: \"permalink registry check\" tells what is wrong, \"export\" saves what can be read, \"import\" puts that into a new file")
)

func damaged(err error) error { return fmt.Errorf("%w: %w; %w", ErrDamaged, err, errRepair) }

// openSound opens a file for bbolt, waits for its lock, and looks whether
// bbolt can trust it. It makes the file where it is missing.
func openSound(name string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(name, flag|os.O_EXCL, mode)
	fresh := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(name, flag, mode)
	}
	if err != nil {
		return nil, err
	}
	if err = lock(file); err == nil && !fresh {
		err = checkStructure(file)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lock waits for another process to let go of the file. bbolt then finds it
// locked by its own descriptor.
func lock(file *os.File) error {
	for end := time.Now().Add(lockWait); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return err
		case time.Now().After(end):
			return inUse(file.Name())
		}
	}
}

// checkStructure reads the pages of a file and returns the first damage that
// bbolt must not see.
func checkStructure(file *os.File) error {
	var found error
	in := newInspector(file, func(_ registry.Record, err error) bool {
		found = err
		return err == nil
	})
	in.pair = func(id uint64, key, _ []byte, isBucket bool) {
		if isBucket {
			in.damage("page %d: %q is no entry", id, key)
		}
		in.order(id, key, false)
	}
	_, err := in.begin()
	switch {
	case err != nil:
		return err
	case in.size == 0:
		return damaged(errEmpty)
	case !in.damaged:
		in.walk()
	}
	if found != nil {
		return fmt.Errorf("%w; %w", found, errRepair)
	}
	return nil
}

// survive calls bbolt. What it panics about, or the kernel because the mapped
// file is no longer there, ends the use of the file, and is the error of this
// and all other calls. Those may wait for a lock that the panic left taken:
// each call has a goroutine, which they leave behind, and no caller may read
// what call sets when there is an error.
func (s *Store) survive(call func() error) error {
	result := make(chan error, 1)
	go func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if p := recover(); p != nil {
				s.fail(fmt.Errorf("%s: %w", s.name, damaged(fmt.Errorf("%w: %v", errPanic, p))))
			}
		}()
		if s.broken.Load() == nil {
			result <- call()
		}
	}()
	select {
	case err := <-result:
		return err
	case <-s.failed:
		return *s.broken.Load()
	}
}

func (s *Store) fail(err error) {
	if s.broken.CompareAndSwap(nil, &err) {
		close(s.failed)
	}
}

// abandon lets go of the file without bbolt, which may hold its locks for
// ever. Closing does not unlock a file that is still mapped.
func (s *Store) abandon() error {
	return errors.Join(syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN), s.file.Close())
}
