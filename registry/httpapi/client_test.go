package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest"
)

// The proof of server and client: what the suite asks of a store holds over
// HTTP.
func TestSuiteThroughTheAPI(t *testing.T) {
	registrytest.RunRegistry(t, func(t *testing.T, o registry.Options) registry.Registry {
		token, tokens := everything(t)
		h := newHandler(t, httpapi.Options{Registry: registry.New(memreg.New(), o), Tokens: tokens})
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		c := &httpapi.Client{Base: server.URL + "/", Token: token, HTTP: server.Client()}
		t.Cleanup(func() { c.Close() })
		return c
	})
}

func TestClientCallsNoAnswerUnavailable(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a proxy's 502": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) },
		"a server that is busy": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"type":"urn:permalink-milter:problem:busy","status":503}`))
		},
		"too many requests": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"type":"urn:permalink-milter:problem:too-many","status":429}`))
		},
		"a page in its place": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a problem of others": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = w.Write([]byte(`{"type":"x"}`))
		},
		"a connection cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a listing cut off": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"list":"devel@lists.example.org","token":"` + hash + `","identity":"` + strings.Repeat("0", 32) + `","state":"reserved"}` + "\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			c := &httpapi.Client{Base: server.URL, HTTP: server.Client()}
			_, err := c.Reserve(t.Context(), registry.Request{List: list, Hash: hash})
			if name == "a listing cut off" {
				for _, err = range c.List(t.Context(), list) {
				}
			}
			if !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestClientGivesUpWithItsContext(t *testing.T) {
	slow := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-slow }))
	defer server.Close()
	defer close(slow)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := (&httpapi.Client{Base: server.URL, HTTP: server.Client()}).Lookup(ctx, list, hash)
	if !errors.Is(err, registry.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestClientReportsAnUnreadableKey(t *testing.T) {
	token, tokens := everything(t)
	server := httptest.NewServer(newHandler(t, httpapi.Options{Registry: down{err: errCorrupt}, Tokens: tokens}))
	defer server.Close()
	c := &httpapi.Client{Base: server.URL, Token: token, HTTP: server.Client()}
	if _, err := c.Lookup(t.Context(), list, hash); !errors.Is(err, registry.ErrCorrupt) || strings.Contains(err.Error(), "x.db") {
		t.Errorf("got %v, want ErrCorrupt and no names", err)
	}
	c.Token = "other"
	if _, err := c.Lookup(t.Context(), list, hash); err == nil || errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "A token is needed: the one that was sent is not known") {
		t.Errorf("got %v, want what is wrong with the token", err)
	}
}
