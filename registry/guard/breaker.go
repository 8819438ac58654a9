package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"permalink-milter/registry"
)

// errSkipped is returned to callers while the breaker is not closed.
var errSkipped = fmt.Errorf("%w: it failed several times in a row and is tried again in the background", registry.ErrUnavailable)

// errSpent marks the failure of a call whose caller left it too little time to
// say anything about the registry.
var errSpent = errors.New("the caller's time was spent")

// newBreaker returns a breaker that opens after Options.Failures failures in a
// row. It is half open before the worker next tries the registry; then it lets
// one call through, which closes it or opens it again.
func (g *Guard) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Timeout:       g.o.RetryEvery / 2,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(g.o.Failures) },
		OnStateChange: func(_ string, from, to gobreaker.State) { g.breakerChanged(from, to) },
		IsSuccessful:  func(err error) bool { return !isFailure(err) },
		IsExcluded: func(err error) bool {
			return errors.Is(err, context.Canceled) || errors.Is(err, errSpent) || errors.Is(err, registry.ErrCrowded)
		},
	})
}

// isFailure reports whether an error means that the registry did not answer.
// Others, such as registry.ErrFull, are answers. An unreadable entry is one,
// too: to retry would not help, and would block the replay.
func isFailure(err error) bool {
	if errors.Is(err, registry.ErrCorrupt) {
		return false
	}
	return errors.Is(err, registry.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// breakerChanged logs the beginning and the end of an outage. It logs the tries
// in between at debug level.
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

// live makes a call on behalf of a message or a client. While the breaker is
// not closed, it fails at once: only the worker tries the registry then, so
// that no message waits for a try.
func live[T any](ctx context.Context, g *Guard, call func(context.Context) (T, error)) (result T, err error) {
	if g.breaker.State() != gobreaker.StateClosed {
		return result, errSkipped
	}
	return through(ctx, g, call)
}

// through makes a call through the breaker, within Options.Timeout. If the
// caller's time ends first, and the registry had less than half of its own, the
// failure says nothing about the registry and is not counted.
func through[T any](caller context.Context, g *Guard, call func(context.Context) (T, error)) (result T, err error) {
	ctx, cancel := context.WithTimeout(caller, g.o.Timeout)
	defer cancel()
	begin := time.Now()
	_, err = g.breaker.Execute(func() (none struct{}, err error) {
		result, err = call(ctx)
		if isFailure(err) && spent(caller) && time.Since(begin) < g.o.Timeout/2 {
			return none, fmt.Errorf("%w: %w", errSpent, err)
		}
		if isFailure(err) {
			g.cause.Store(&err)
		}
		return none, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return result, errSkipped
	case isFailure(err) && !errors.Is(err, registry.ErrUnavailable):
		return result, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	return result, err
}

// spent reports whether a caller's time is over. Its deadline counts as well as
// its end, because a connection may see the deadline a moment earlier.
func spent(caller context.Context) bool {
	deadline, ok := caller.Deadline()
	return caller.Err() != nil || ok && !time.Now().Before(deadline)
}
