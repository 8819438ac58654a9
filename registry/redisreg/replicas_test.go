package redisreg_test

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
)

func TestMinReplicasPromisesNothingWithoutThem(t *testing.T) {
	t.Parallel()
	primary := server(t)
	replica, err := redistest.Start(filepath.Join(t.TempDir(), "replica"), "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.Port))
	must(t, err)
	t.Cleanup(replica.Kill)
	reg := registry.New(open(t, redisreg.Options{URL: "redis://" + primary.Addr(), Timeout: 2 * time.Second, MinReplicas: 1}), registry.Options{})
	reserve := func() (registry.Result, error) {
		return reg.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity})
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := reserve(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the replica does not come")
		}
	}
	replica.Kill()
	for _, what := range []string{"held, once confirmed by a replica that is gone", "held again"} {
		_, err := reserve()
		must(t, err, registry.ErrUnavailable)
		if !strings.Contains(err.Error(), "0 of min_replicas = 1 acknowledged") {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, replica.Restart())
	for deadline := time.Now().Add(20 * time.Second); ; {
		r, err := reserve()
		if err == nil && r.Token() == hash && r.Outcome == registry.Held {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}

// A cutter is a proxy that, at the script that brings the countdown to 0, cuts
// the connection in place of the answer.
type cutter struct {
	net.Listener
	server    string
	countdown atomic.Int32
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	c := &cutter{Listener: ln, server: server}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.serve(conn)
		}
	}()
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	go func() {
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(buf[:n], []byte("evalsha")) && c.countdown.Add(-1) == 0 {
				cut.Store(true)
			}
			server.Write(buf[:n])
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || cut.Load() {
			return
		}
		if _, err := io.Copy(client, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}

func TestAChangeWhoseAnswerWasLostComesOutRight(t *testing.T) {
	t.Parallel()
	c := newCutter(t, server(t).Addr())
	reg := registry.New(open(t, redisreg.Options{URL: "redis://" + c.Addr().String()}), registry.Options{})
	request := registry.Request{List: list, Hash: hash, Identity: identity}
	_, err := reg.Reserve(t.Context(), registry.Request{List: "first@example.org", Hash: hash})
	must(t, err)

	c.countdown.Store(1)
	r, err := reg.Reserve(t.Context(), request)
	if err != nil || r.Token() != hash || r.Outcome != registry.Held {
		t.Errorf("reserve: %+v, %v", r, err)
	}
	// The first script of these looks at what is stored, the second writes.
	c.countdown.Store(2)
	confirmed, err := reg.Confirm(t.Context(), registry.Confirmation{List: "first@example.org", Token: hash, URL: "https://a.example/1"})
	if err != nil || confirmed.State != registry.Archived {
		t.Errorf("confirm: %+v, %v", confirmed, err)
	}
	c.countdown.Store(2)
	must(t, reg.Release(t.Context(), list, hash, identity), registry.ErrNotFound)
	if left := c.countdown.Load(); left > 0 {
		t.Errorf("nothing was cut: %d", left)
	}
}
