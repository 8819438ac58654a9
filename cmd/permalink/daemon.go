package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/registry/httpapi"
)

// daemonOf returns the registry at a URL through the daemon that runs in a state
// directory, nil if none does or its registry is another one. Whoever may open
// the daemon's socket may do everything.
func daemonOf(stateDir, url string) (*httpapi.Client, error) {
	socket := setup.ControlSocket(stateDir)
	conn, err := dial(context.Background(), socket)
	switch {
	case err == nil:
		conn.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EINVAL): // the last: its path is too long
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, &exitError{exitConfig, fmt.Errorf("%s: permission denied: %s", socket, setup.WhoMay(socket))}
	default:
		return nil, &exitError{exitTemporary, err}
	}
	transport := newTransport()
	transport.Proxy = nil // those of the environment are for other hosts
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socket) }
	daemon := &httpapi.Client{Base: "http://control.sock", HTTP: &http.Client{Transport: transport}}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	name, err := daemon.StoreName(ctx)
	if err != nil {
		return nil, &exitError{exitTemporary, fmt.Errorf("%s: %w", socket, err)}
	}
	if name != setup.StoreName(url) {
		return nil, daemon.Close()
	}
	return daemon, nil
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	return (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "unix", socket)
}
