package httpapi

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// scanTimeout bounds one reading of the whole store.
const scanTimeout = time.Minute

// A cache keeps for a while what reading the whole store returned. Of several
// requests that find it old, one has it read again.
type cache[T any] struct {
	read func(context.Context) (T, error)
	keep func(took time.Duration) time.Duration // how long a reading counts
	now  func() time.Time

	mu      sync.Mutex
	held    T
	began   time.Time     // the last reading that succeeded
	until   time.Time     // when what it returned is old
	err     error         // of the last reading
	reading chan struct{} // closed when the reading in progress ends; nil: none
}

// get returns what was read, and when, to the second. A caller that gives up
// gets what there was before, with an error, and does not end the reading: the
// next one finds it done.
func (c *cache[T]) get(ctx context.Context) (held T, at time.Time, err error) {
	if end := c.refresh(); end != nil {
		select {
		case <-end:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.began.UTC().Truncate(time.Second), cmp.Or(err, c.err)
}

// maxAwait bounds the wait until the store may be read again.
const maxAwait = 500 * time.Millisecond

// renew has the store read again if what is held is from before a time, and it
// is old within maxAwait. It reports whether what is held is newer now.
func (c *cache[T]) renew(ctx context.Context, than time.Time) bool {
	c.mu.Lock()
	old, due := c.began.Before(than), c.until.Sub(c.now())
	c.mu.Unlock()
	if !old || due > maxAwait {
		return false
	}
	select {
	case <-time.After(due):
	case <-ctx.Done():
		return false
	}
	_, _, err := c.get(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return err == nil && !c.began.Before(than)
}

// refresh begins a reading, unless there is one or the last one still counts.
// It returns the channel of the reading in progress, if any.
func (c *cache[T]) refresh() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.reading == nil && !now.Before(c.until) {
		c.reading = make(chan struct{})
		go c.scan(now)
	}
	return c.reading
}

func (c *cache[T]) scan(began time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), scanTimeout)
	defer cancel()
	start := time.Now()
	held, err := c.read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.held, c.began, c.until = held, began, began.Add(c.keep(time.Since(start)))
	}
	close(c.reading)
	c.reading = nil
}
