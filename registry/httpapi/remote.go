package httpapi

import (
	"context"
	"iter"
	"net/url"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// Store returns the store of a server with Options.Store. Closing it closes the
// client.
func (c *Client) Store() registry.Store { return remoteStore{c} }

// StoreName returns the Options.StoreName of a server with Options.Store.
func (c *Client) StoreName(ctx context.Context) (string, error) {
	var body storeBody
	err := c.call(ctx, "GET", "/store", nil, &body)
	return body.Name, err
}

type remoteStore struct{ client *Client }

// Get implements registry.Store.
func (s remoteStore) Get(ctx context.Context, k registry.Key) (registry.Entry, error) {
	var body recordBody
	if err := s.client.call(ctx, "GET", page.Path("/records", k.List, k.Hash), nil, &body); err != nil {
		return registry.Entry{}, err
	}
	return registry.DecodeEntry(body.Entry)
}

// Update implements registry.Store. It tries again while others change the
// entry, too.
func (s remoteStore) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	e, err := s.Get(ctx, k)
	for err == nil {
		next, changed := change(e)
		if !changed {
			return nil
		}
		request := swapRequest{recordBody{k.List, k.Hash, next.AppendBinary(nil)}, e.AppendBinary(nil)}
		var answer swapAnswer
		if err = s.client.call(ctx, "POST", "/records", request, &answer); err != nil || answer.Swapped {
			return err
		}
		e, err = registry.DecodeEntry(answer.Entry)
	}
	return err
}

// Scan implements registry.Store. Like the server's store it may go on after an
// entry that cannot be read.
func (s remoteStore) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		err := s.client.eachLine(ctx, "/records?list="+url.QueryEscape(list), func(l line) bool { return yield(l.record()) })
		if err != nil {
			yield(registry.Record{}, err)
		}
	}
}

// record returns the record of a line, or why it cannot be read.
func (l line) record() (_ registry.Record, err error) {
	rec := registry.Record{Key: registry.Key{List: l.List, Hash: l.Hash}}
	if err = l.unreadable(); err == nil {
		rec.Entry, err = registry.DecodeEntry(l.Entry)
	}
	return rec, err
}

// Close implements registry.Store.
func (s remoteStore) Close() error { return s.client.Close() }
