package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// A host checks what the daemon needs of this host.
type host struct {
	file     string
	c        *config.Config
	problems *config.Problems
	daemon   account // that the daemon runs as
	refused  bool    // the registry's own settings are refused
}

// newHost returns the checks for a configuration. Root checks the installed file
// for the user of the packaged unit.
func newHost(file string, c *config.Config, problems *config.Problems) *host {
	h := &host{file: file, c: c, problems: problems, daemon: ownAccount()}
	if file != setup.Installed || os.Geteuid() != 0 {
		return h
	}
	if packaged, err := lookUpAccount("permalink-milter"); err == nil {
		h.daemon = packaged
	}
	return h
}

func (h *host) check(ctx context.Context) {
	h.checkState()
	h.checkFiles()
	h.checkSocketAccess()
	h.checkListeners()
	h.checkRegistry(ctx)
	h.checkMTA()
}

// fail adds an error with a hint.
func (h *host) fail(key, hint, format string, args ...any) {
	h.problems.Add(key, &config.Hint{Err: fmt.Errorf(format, args...), Do: hint})
}

// warn adds a warning with a hint.
func (h *host) warn(key, hint, format string, args ...any) {
	h.problems.AddWarning(key, &config.Hint{Err: fmt.Errorf(format, args...), Do: hint})
}

// checkState checks that the daemon can keep the registry and the journal.
func (h *host) checkState() {
	dir := h.c.StateDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := nearest(dir)
		if !h.daemon.may("w", parent) || !h.daemon.may("x", parent) {
			h.fail("state_dir", "create it: install -d -m 0750 -o "+h.daemon.name+" "+dir,
				"%s does not exist, and the user %s cannot create it in %s", dir, h.daemon.name, parent)
		}
		return
	case err != nil:
		h.fail("state_dir", "correct the path, or the rights of its directories", "%w", err)
		return
	case !info.IsDir():
		h.fail("state_dir", "name a directory", "%s is not a directory", dir)
		return
	}
	if free, err := freeSpace(dir); err == nil && free < room {
		h.warn("state_dir", "make room; a start needs it for a new registry, and mail for the journal", "%s has %d KiB left", dir, free>>10)
	}
	own := fmt.Sprintf("chown -R %s %s", h.daemon.name, dir)
	files := []string{dir, filepath.Join(dir, "journal")}
	if file, ok := strings.CutPrefix(config.InStateDir(h.c.Registry.URL, dir), "bolt:"); ok {
		files = append(files, file)
	}
	for _, file := range files {
		if _, err := os.Stat(file); err == nil && !(h.daemon.may("r", file) && h.daemon.may("w", file)) {
			h.fail("state_dir", own, "the user %s cannot read and write %s", h.daemon.name, file)
		}
	}
}

// room is the space below which a disk deserves attention.
const room = 16 << 20

// freeSpace returns what users may still write to a directory's file system.
func freeSpace(dir string) (uint64, error) {
	var fs unix.Statfs_t
	err := unix.Statfs(dir, &fs)
	return uint64(max(fs.Bavail, 0)) * uint64(fs.Bsize), err
}

// nearest returns the nearest directory above a path that exists.
func nearest(path string) string {
	for {
		path = filepath.Dir(path)
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
	}
}

// checkFiles checks that the daemon can read the configuration and the files that
// it names, and that they hold what they should. The files of the registry were
// read with the configuration, by this user.
func (h *host) checkFiles() {
	for _, f := range []struct{ key, file string }{
		{"", h.file},
		{"registry.tls_ca", h.c.Registry.TLSCA}, {"registry.tls_cert", h.c.Registry.TLSCert}, {"registry.tls_key", h.c.Registry.TLSKey},
		{"registry.password_file", h.c.Registry.PasswordFile},
		{"http.tokens_file", h.c.HTTP.TokensFile}, {"http.tls_cert", h.c.HTTP.TLSCert}, {"http.tls_key", h.c.HTTP.TLSKey},
	} {
		if f.file == "" {
			continue
		}
		if _, err := os.Stat(f.file); err != nil && strings.HasPrefix(f.key, "registry.") {
			continue // registry.url has it
		} else if err != nil {
			h.fail(f.key, "write the file, or correct the path", "%w", err)
		} else if !h.daemon.may("r", f.file) {
			h.fail(f.key, "give the file to the daemon's group: chgrp, chmod 0640", "the user %s cannot read %s", h.daemon.name, f.file)
		}
	}
	_, err := loadTokens(h.c.HTTP.TokensFile)
	h.problems.Add("http.tokens_file", err)
	if h.c.HTTP.TLSCert != "" && h.c.HTTP.TLSKey != "" {
		h.checkCertificate()
	}
}

// soon is how long before its end a certificate deserves attention.
const soon = 14 * 24 * time.Hour

func (h *host) checkCertificate() {
	pair, err := tls.LoadX509KeyPair(h.c.HTTP.TLSCert, h.c.HTTP.TLSKey)
	if err != nil {
		h.fail("http.tls_cert", "name the chain and its key, both in PEM", "%w", err)
		return
	}
	if left := time.Until(pair.Leaf.NotAfter); left < soon {
		h.warn("http.tls_cert", "renew it, and reload", "the certificate is valid until %s", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
}

// checkSocketAccess checks owner and group of unix sockets.
func (h *host) checkSocketAccess() {
	m := h.c.Milter
	if m.SocketOwner != "" {
		uid, err := userID(m.SocketOwner)
		switch {
		case err != nil:
			h.fail("milter.socket_owner", "create the user, or name another", "%w", err)
		case h.daemon.uid != 0 && h.daemon.uid != uid:
			h.fail("milter.socket_owner", "leave it empty and set socket_group", "only root can give sockets to another user, and the daemon runs as %s", h.daemon.name)
		}
	}
	if m.SocketGroup != "" {
		gid, err := groupID(m.SocketGroup)
		switch {
		case err != nil:
			h.fail("milter.socket_group", "create the group, or name another", "%w", err)
		case h.daemon.uid != 0 && !h.daemon.in(gid) && !unitJoins(m.SocketGroup):
			h.fail("milter.socket_group", "write SupplementaryGroups="+m.SocketGroup+" below [Service] with systemctl edit permalink-milter",
				"the user %s is no member of %s and cannot give sockets to it", h.daemon.name, m.SocketGroup)
		}
	}
}

// checkRegistry asks the servers of a shared registry what the start would.
func (h *host) checkRegistry(ctx context.Context) {
	r := h.c.Registry
	if kind, err := config.StoreKind(r.URL); err != nil || kind != config.Redis {
		return // the file's own problem, or a store of this host
	}
	own := new(config.Problems)
	if setup.CheckStore(own, r); own.Err() != nil {
		return // the file's own problem
	}
	redisreg.LogTo(slog.New(slog.DiscardHandler)) // the finding says it
	store, err := setup.OpenStore(r.URL, r, time.Duration(r.Timeout), false)
	if err != nil {
		h.problems.Add("registry.url", err)
		return
	}
	defer store.Close()
	warnings, err := store.(*redisreg.Store).Check(ctx)
	for _, w := range warnings {
		h.problems.AddWarning("registry.url", errors.New(w))
	}
	switch {
	case errors.Is(err, registry.ErrUnavailable):
		h.warn("registry.url", "start the server; until then mail gets what registry.on_failure says", "%w", err)
	case err != nil:
		h.refused = true
		h.problems.Add("registry.url", err)
	}
}
