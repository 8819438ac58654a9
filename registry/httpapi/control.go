package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"permalink-milter/registry"
)

// control lists what the socket of the store's owner serves beside the API: the
// store, as Client.Store uses it. See Options.Store.
var control = []route{
	{"GET /api/v1/store", ScopeRead, 0, (*exchange).store},
	{"GET /api/v1/records", ScopeRead, 0, (*exchange).records},
	{"GET /api/v1/records/{list}/{hash}", ScopeRead, 0, (*exchange).record},
	{"POST /api/v1/records", ScopeRelease, 0, (*exchange).swap},
}

// The bodies of control. An entry is what registry.Entry.AppendBinary writes.
type (
	storeBody struct {
		Name string `json:"name"`
	}
	recordBody struct {
		List  string `json:"list"`
		Hash  string `json:"hash"`
		Entry []byte `json:"entry"`
	}
	swapRequest struct {
		recordBody
		Before []byte `json:"before"`
	}
	swapAnswer struct {
		Swapped bool   `json:"swapped"`
		Entry   []byte `json:"entry"` // before the request
	}
	// A recordLine is a line of a scan but the last.
	recordLine struct {
		recordBody
		corruptLine
	}
)

// store answers GET /api/v1/store.
func (x *exchange) store() error {
	writeJSON(x, "application/json", http.StatusOK, storeBody{x.o.StoreName})
	return nil
}

// records answers GET /api/v1/records: Store.Scan, a line for each record.
func (x *exchange) records() error {
	s := &lines{exchange: x}
	for record, err := range x.o.Store.Scan(x.r.Context(), x.r.URL.Query().Get("list")) {
		l := recordLine{recordBody: recordBody{record.List, record.Hash, record.Entry.AppendBinary(nil)}}
		switch {
		case errors.Is(err, registry.ErrCorrupt):
			l.Corrupt = err.Error()
		case err != nil:
			return s.broken(err)
		}
		s.pace()
		s.sum.Count++
		if s.write(l) != nil {
			return nil // the client is gone
		}
	}
	s.end()
	return nil
}

// record answers GET /api/v1/records/{list}/{hash}: Store.Get.
func (x *exchange) record() error {
	k, err := registry.NewKey(x.r.PathValue("list"), x.r.PathValue("hash"))
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	e, err := x.o.Store.Get(ctx, k)
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, recordBody{k.List, k.Hash, e.AppendBinary(nil)})
	return nil
}

// swap answers POST /api/v1/records: it replaces an entry that is still what the
// client read before.
func (x *exchange) swap() error {
	var body swapRequest
	if err := x.readJSONOf(maxAnswer, &body); err != nil {
		return err
	}
	k, err := registry.NewKey(body.List, body.Hash)
	before, badBefore := registry.DecodeEntry(body.Before)
	after, badAfter := registry.DecodeEntry(body.Entry)
	if bad := errors.Join(badBefore, badAfter); err == nil && bad != nil {
		err = invalid("entry: %v", bad)
	}
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	var answer swapAnswer
	err = x.o.Store.Update(ctx, k, func(e registry.Entry) (registry.Entry, bool) {
		answer = swapAnswer{slices.Equal(e.Slots, before.Slots), e.AppendBinary(nil)}
		return after, answer.Swapped
	})
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, answer)
	return nil
}

// confirmedLevel keeps an import of many messages out of the log.
func (x *exchange) confirmedLevel() slog.Level {
	if x.o.Store != nil {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
