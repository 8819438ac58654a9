package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
)

// control returns a client of a daemon's control socket.
func (p *process) control() *httpapi.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.controlSocket())
	}
	return &httpapi.Client{Base: "http://control", HTTP: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

func (p *process) controlSocket() string { return filepath.Join(p.dir, "control.sock") }

func TestControlSocketNeedsNoToken(t *testing.T) {
	p := start(t, "[milter]\nlisten = [\"unix:DIR/s\"]\nsocket_mode = \"0666\"\n[http]\nlisten = \"unix:DIR/http\"\n")
	info, err := os.Lstat(p.controlSocket())
	if err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Fatalf("%v, %v", info, err)
	}
	c := p.control()
	request := registry.Request{List: "devel@lists.example.org", Hash: md5Hash, Identity: hashheader.Identity{1}}
	if _, err := c.Reserve(t.Context(), request); err != nil {
		t.Error(err)
	}
	if held, err := c.Lookup(t.Context(), request.List, md5Hash); err != nil || held.Identity != request.Identity {
		t.Errorf("%v, %v", held, err)
	}
	if err := c.Release(t.Context(), request.List, md5Hash, request.Identity); err != nil {
		t.Error(err)
	}
	if stats, err := c.Stats(t.Context()); err != nil {
		t.Errorf("%v, %v", stats, err)
	}
	c.Close()
	p.stop(t)
	if _, err := os.Lstat(p.controlSocket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the stop: %v", err)
	}
}

// What only the store's owner may do is not to be had at the door for others.
func TestOnlyTheControlSocketServesRecords(t *testing.T) {
	p := start(t, "[http]\nlisten = \"unix:DIR/http\"\n")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "http"))
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial}}
	for _, path := range []string{"/api/v1/records", "/api/v1/stats"} {
		answer, err := client.Get("http://door" + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	client.CloseIdleConnections()
	p.stop(t)
}

func TestStaleControlSocketIsReplaced(t *testing.T) {
	p := start(t, "")
	p.Process.Kill()
	<-p.exited
	if _, err := os.Lstat(p.controlSocket()); err != nil {
		t.Fatal(err) // a crash leaves it
	}
	again := startIn(t, p.dir, "")
	if _, err := again.control().Stats(t.Context()); err != nil {
		t.Error(err)
	}
	again.stop(t)
}

// Mail does not depend on the socket, and nothing that stands in its place is
// followed or removed.
func TestWhatIsNoSocketStays(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	write(t, target, "precious")
	if err := os.Symlink(target, filepath.Join(dir, "control.sock")); err != nil {
		t.Fatal(err)
	}
	p := startIn(t, dir, "")
	p.log.wait(t, "is not a socket: remove it")
	if fields := connect(t, "unix", p.socket()).begin(messageID).end(); len(fields) != 1 {
		t.Errorf("%q", fields)
	}
	p.stop(t)
	if data, err := os.ReadFile(filepath.Join(dir, "control.sock")); err != nil || string(data) != "precious" {
		t.Errorf("%q, %v", data, err)
	}
}
