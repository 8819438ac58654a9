package boltreg

import (
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"
)

// survive calls bbolt. A panic, such as a fault where the mapped file no
// longer is, ends the use of the file: it is the error of this and of all
// other calls. Some of these may wait for a lock that the panic left taken.
// Therefore each call has a goroutine, which is abandoned then, and a caller
// must not read what call set if there is an error.
func (s *Store) survive(call func() error) error {
	result := make(chan error, 1)
	go func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if p := recover(); p != nil {
				s.fail(fmt.Errorf("%s: %w: bbolt panicked: %v; %w", s.name, ErrDamaged, p, errRepair))
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
// ever. Closing alone does not unlock a file that is still mapped.
func (s *Store) abandon() error {
	return errors.Join(syscall.Flock(int(s.file.Fd()), syscall.LOCK_UN), s.file.Close())
}
