package httpapi

import (
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

	mu      sync.Mutex
	held    T
	began   time.Time     // the last reading that succeeded
	until   time.Time     // when what it returned is old
	err     error         // of the last reading
	reading chan struct{} // closed when the reading in progress ends; nil: none
}

// get returns what was read, and when. A caller that gives up gets what there
// was before, with an error, and does not end the reading: the next one finds
// it done.
func (c *cache[T]) get(ctx context.Context, now func() time.Time) (T, time.Time, error) {
	wait := c.refresh(now)
	if wait == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.held, c.at(), nil
	}
	var err error
	select {
	case <-wait:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = c.err
	}
	return c.held, c.at(), err
}

// at returns when what is held was read, to the second.
func (c *cache[T]) at() time.Time { return c.began.UTC().Truncate(time.Second) }

// renew has the store read again if what is held is from before a time, and it
// is old within the time that the caller waits at most. It reports whether what
// is held is newer now.
func (c *cache[T]) renew(ctx context.Context, than time.Time, wait time.Duration, now func() time.Time) bool {
	c.mu.Lock()
	old, due := c.began.Before(than), c.until.Sub(now())
	c.mu.Unlock()
	if !old || due > wait {
		return false
	}
	select {
	case <-time.After(due):
	case <-ctx.Done():
		return false
	}
	_, _, err := c.get(ctx, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	return err == nil && !c.began.Before(than)
}

// refresh begins a reading, unless there is one or the last one still counts.
// It returns the channel that its end closes.
func (c *cache[T]) refresh(now func() time.Time) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading == nil && now().Before(c.until) {
		return nil
	}
	if c.reading == nil {
		c.reading = make(chan struct{})
		go c.scan(now())
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
