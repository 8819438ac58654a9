package guard

import (
	"context"
	"errors"
	"fmt"

	"github.com/sony/gobreaker/v2"

	"permalink-milter/registry"
)

// errSkipped is what a caller gets while the breaker is not closed.
var errSkipped = fmt.Errorf("%w: it failed several times in a row, and is tried again in the background", registry.ErrUnavailable)

// newBreaker returns a breaker that opens after some failures in a row. Half
// open, it lets one call through, which closes or opens it again. It is half
// open well before the worker comes to try the registry.
func (g *Guard) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Timeout:       g.o.RetryEvery / 2,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(g.o.Failures) },
		OnStateChange: func(_ string, from, to gobreaker.State) { g.breakerChanged(from, to) },
		IsSuccessful:  func(err error) bool { return !isFailure(err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
	})
}

// isFailure tells if an error means that the registry did not serve. Others,
// such as registry.ErrFull, are its answers. So is an entry that it cannot
// read: waiting mends nothing, and the journal must not wait behind it.
func isFailure(err error) bool {
	if errors.Is(err, registry.ErrCorrupt) {
		return false
	}
	return errors.Is(err, registry.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// breakerChanged logs the beginning and the end of an outage; the tries in
// between are logged at debug level.
func (g *Guard) breakerChanged(from, to gobreaker.State) {
	g.o.Observe.Breaker(to.String())
	switch {
	case from == gobreaker.StateClosed:
		g.o.Log.Error("the registry does not answer and is no longer waited for", "error", *g.cause.Load(), "failures", g.o.Failures, "retry_every", g.o.RetryEvery)
	case to == gobreaker.StateClosed:
		g.o.Log.Info("the registry answers again")
	default:
		g.o.Log.Debug("breaker", "from", from.String(), "to", to.String())
	}
}

// live makes a call that a message or a client waits for. While the breaker
// is not closed it fails at once: the worker alone tries the registry then,
// so that no message has to wait for a try.
func (g *Guard) live(ctx context.Context, call func(context.Context) error) error {
	if g.breaker.State() != gobreaker.StateClosed {
		return errSkipped
	}
	return g.through(ctx, call)
}

// through makes a call within the budget, through the breaker.
func (g *Guard) through(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, g.o.Timeout)
	defer cancel()
	_, err := g.breaker.Execute(func() (struct{}, error) {
		err := call(ctx)
		if isFailure(err) {
			g.cause.Store(&err)
		}
		return struct{}{}, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return errSkipped
	case isFailure(err) && !errors.Is(err, registry.ErrUnavailable):
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	return err
}
