package redisreg

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry"
)

// Up to maxPipelines are on their way at once, each of up to maxSwaps swaps.
const maxPipelines, maxSwaps = 8, 64

var errClosed = errors.New("registry is closed")

// pipelines send swaps to one server. A swap goes at once while fewer than
// maxPipelines are on their way; those that come meanwhile share the next
// write, so that many sessions cost few system calls, here and in Redis.
type pipelines struct {
	client  redis.UniversalClient
	timeout time.Duration // of a pipeline
	swaps   chan *queuedSwap
	closing context.Context // no more pipelines are sent
	stop    context.CancelFunc
	ended   context.Context // none is on its way any more
	end     context.CancelFunc
	all     sync.WaitGroup
}

// A queuedSwap has its answer once done is closed.
type queuedSwap struct {
	ctx        context.Context
	at         place
	old, value string
	answer     *redis.Cmd
	done       chan struct{}
}

func newPipelines(client redis.UniversalClient, timeout time.Duration) *pipelines {
	p := &pipelines{client: client, timeout: timeout, swaps: make(chan *queuedSwap, maxSwaps)}
	p.closing, p.stop = context.WithCancel(context.Background())
	p.ended, p.end = context.WithCancel(context.Background())
	for range maxPipelines {
		p.all.Go(p.run)
	}
	return p
}

// swap queues a swap and waits for its answer, as long as ctx lasts.
func (p *pipelines) swap(ctx context.Context, at place, old, value string) (any, error) {
	q := &queuedSwap{ctx: ctx, at: at, old: old, value: value, done: make(chan struct{})}
	select {
	case p.swaps <- q:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closing.Done():
		return nil, errClosed
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.ended.Done():
		select {
		case <-q.done:
		default:
			return nil, errClosed
		}
	}
	return q.answer.Result()
}

func (p *pipelines) run() {
	for p.closing.Err() == nil {
		select {
		case q := <-p.swaps:
			p.send(registry.Batch(q, p.swaps, maxSwaps))
		case <-p.closing.Done():
		}
	}
}

// send leaves out the swaps that nobody waits for any more.
func (p *pipelines) send(queued []*queuedSwap) {
	queued = slices.DeleteFunc(queued, func(q *queuedSwap) bool { return q.ctx.Err() != nil })
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	pipe := p.client.Pipeline()
	for _, q := range queued {
		q.answer = pipe.EvalSha(ctx, swap.Hash(), []string{q.at.key}, q.at.field, q.old, q.value)
	}
	exec(ctx, pipe)
	for _, q := range queued {
		close(q.done)
	}
}

// close waits for the pipelines that are on their way.
func (p *pipelines) close() {
	p.stop()
	p.all.Wait()
	p.end()
}
