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

	mu        sync.Mutex
	held      T
	at, until time.Time
	err       error         // of the last reading
	reading   chan struct{} // closed when the reading in progress ends; nil: none
}

// get returns what was read, and when. A caller that gives up gets what there
// was before, with an error, and does not end the reading: the next one finds
// it done.
func (c *cache[T]) get(ctx context.Context, now func() time.Time) (T, time.Time, error) {
	wait := c.refresh(now)
	if wait == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.held, c.at, nil
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
	return c.held, c.at, err
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
		c.held, c.at, c.until = held, began.UTC().Truncate(time.Second), began.Add(c.keep(time.Since(start)))
	}
	close(c.reading)
	c.reading = nil
}
